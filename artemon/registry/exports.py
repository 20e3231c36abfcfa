"""The other direction: services of the mesh, shown to a registry that others read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from artemon.model.hosts import owner_namespace
from artemon.model.service import Endpoint, Resolution, Service
from artemon.snapshot.changes import ServiceKey


@dataclass(frozen=True, slots=True)
class Exported:
    """A service of the mesh with its instances. name: its short name, or its whole host where that is not of
    the mesh's domain."""

    name: str
    service: Service
    instances: tuple[Endpoint, ...]


def exportable(
    services: Mapping[str, tuple[Service, ...]],
    instances: Mapping[ServiceKey, tuple[Endpoint, ...]],
    domain: str,
) -> tuple[Exported, ...]:
    """What may be shown: the mesh's own services that everyone may see, with instances that have addresses.

    What a registry brought is never among them, so that nothing goes round in circles.
    """
    found = []
    for host, known in sorted(services.items()):
        service = known[0]
        if _is_own(service) and "*" in service.export_to:
            name = host.partition(".")[0] if owner_namespace(host, domain) else host
            members = instances.get(ServiceKey(host, service.namespace), ())
            found.append(Exported(name, service, members))
    return tuple(found)


def _is_own(service: Service) -> bool:
    return (
        not service.source.startswith("registry/")
        and service.asked_by_name
        and not service.mesh_external
        and service.resolution is Resolution.STATIC
        and "*" not in service.host
    )


class Feed:
    """What is to be shown now; None before that is known. It waits for whoever reads it."""

    def __init__(self) -> None:
        self._make: Callable[[], Iterable[Exported]] | None = None
        self.changed = asyncio.Event()

    def offer(self, make: Callable[[], Iterable[Exported]]) -> None:
        """There is something new; `make` says what when it is asked."""
        self._make = make
        self.changed.set()

    def take(self) -> tuple[Exported, ...] | None:
        """The newest."""
        self.changed.clear()
        return None if self._make is None else tuple(self._make())


class Lead(Protocol):
    """The right to write of one replica among several. fence: greater than that of every leader before."""

    fence: int

    async def confirm(self) -> None:
        """Ask the registry of the mesh. Raises StoreError when this replica does not lead."""


@dataclass(slots=True)
class Shown:
    """What operators see of an export. reason: why it is not complete; "": it is."""

    services: int = 0
    instances: int = 0
    reason: str = ""


class Exporter(Protocol):
    """Shows the mesh to one registry."""

    async def run(self, feed: Feed, lead: Lead, shown: Shown) -> None:
        """Keep the registry as `feed` says, telling `shown`, until cancelled. Raises StoreError when another
        leads. What is there of others is neither changed nor removed."""
