"""What reading a cluster needs of galleyd itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from galleyd.around import Around
from galleyd.edits import Edits
from galleyd.feed import Feed
from galleyd.keys import Keys

REFUSED: Final = (400, 403, 413, 422)
"""Statuses of what is wrong with a cluster's object: its author is told, and nothing is tried again."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """galleyd's side. order: names of all clusters, the first goes before. config: objects as last seen.
    around: what else is known of the mesh."""

    edits: Edits
    keys: Keys
    config: Feed
    proxies: Feed
    order: Sequence[str]
    around: Around
