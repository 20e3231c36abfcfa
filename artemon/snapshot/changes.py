"""What happens to the world: changes in, and what they touch out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from artemon.errors import Problem
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Resource
from artemon.model.secret import Secret
from artemon.model.trust import TrustRecord
from artemon.model.workload import Workload
from artemon.snapshot.services import Source

MESH = "MeshConfig"
WORKLOAD = "Workload"
SERVICE = "Service"
SECRET = "Secret"  # noqa: S105
KEY_SET = "KeySet"
TRUST = "Trust"
BAN = "Ban"
"""Names among `ChangeSet.kinds` for what is not a user-written object."""


Position = tuple[str, int]
"""A point in the registry's history: epoch and revision; comparable only within one epoch."""
NOWHERE: Position = ("", 0)


@dataclass(frozen=True, slots=True)
class KeySet:
    """A JSON Web Key Set, as it was fetched from `source`."""

    source: str
    text: str


Object = Resource[Any] | MeshConfig | Workload | Source | Secret | KeySet | TrustRecord


class ServiceKey(NamedTuple):
    """Which service: one host can be defined in several namespaces."""

    host: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Upsert:
    """A key of the registry (below `artemon/<mesh>/`) has this object now."""

    key: str
    object: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """A key of the registry is gone."""

    key: str


@dataclass(frozen=True, slots=True)
class Bad:
    """A key has a value that cannot be read; the last good object stays in force."""

    key: str
    problems: tuple[Problem, ...]


Change = Upsert | Delete | Bad


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What a batch of changes touched. Nothing in it means nothing changed.

    kinds: kinds of the objects that changed, with MESH and WORKLOAD. namespaces: theirs.
    services: services whose definition or instances may have changed. endpoints_only: only instances of
    services that exist before and after. claimed: addresses whose workloads serve other services than before.
    """

    position: Position = NOWHERE
    kinds: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    services: frozenset[ServiceKey] = frozenset()
    endpoints_only: bool = True
    claimed: frozenset[str] = frozenset()

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts of the touched services."""
        return frozenset(key.host for key in self.services)

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def __or__(self, later: ChangeSet) -> ChangeSet:
        """Both, as one; `later` gives the position."""
        if not self:
            return later
        if not later:
            return replace(self, position=later.position)
        return ChangeSet(
            position=later.position,
            kinds=self.kinds | later.kinds,
            namespaces=self.namespaces | later.namespaces,
            services=self.services | later.services,
            endpoints_only=self.endpoints_only and later.endpoints_only,
            claimed=self.claimed | later.claimed,
        )


def union(changes: Iterable[ChangeSet]) -> ChangeSet:
    """All of them in order, as one."""
    total = ChangeSet()
    for each in changes:
        total |= each
    return total
