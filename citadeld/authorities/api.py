"""What an authority is: a plug-in of the entry-point group `artemon.authorities`.

It says under which root everything is issued, and signs the intermediates of replicas. Its key signs and is
not given away (`artemon.pki.held`): it may lie in files, in hardware or behind a service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from pydantic import BaseModel, ConfigDict

from artemon.pki.certificate import Authority
from citadeld.keyfiles import KeyFiles

GROUP = "artemon.authorities"


class AuthoritySettings(BaseModel):
    """What every authority can be told, in the query of its URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Place:
    """What citadeld lends to an authority. directory: of the replica, 0700. root_lifetime: of roots that it
    makes."""

    directory: Path
    trust_domain: str
    keys: KeyFiles
    now: Callable[[], datetime]
    root_lifetime: timedelta


class Source(Protocol):
    """One authority."""

    def root(self) -> x509.Certificate | None:
        """Where its chains end; None when there is none yet. Raises ArtemonError."""

    def authority(self) -> Authority | None:
        """What signs intermediates, with what leads from it to the root; its key is held. None when it cannot
        sign at the moment: what was signed before goes on. Raises ArtemonError."""

    def make_root(self) -> x509.Certificate:
        """A new root. Raises ArtemonError, also when roots are not made here."""


class Plugin(Protocol):
    """A kind of authority. settings: its frozen class of settings, which stand in the URL's query."""

    settings: type[AuthoritySettings]

    def open(self, address: str, settings: AuthoritySettings, place: Place) -> Source:
        """The authority at `address`, the URL without its query. Raises ArtemonError."""
