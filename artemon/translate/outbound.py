"""Clusters and instances of all services in sight, made anew only where instances changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.snapshot import ScopedEndpoints
from artemon.snapshot.view import Destination
from artemon.translate.clusters import service_assignments, service_clusters
from artemon.xds.resource import Resource

Named = Mapping[str, Resource]
Endpoints = Mapping[str, tuple[Endpoint, ...]]


@dataclass(frozen=True, slots=True)
class Outbound:
    """Clusters and instances of the services in a scope."""

    clusters: Named
    endpoints: Named


class OutboundScope:
    """The services that some proxies see, and their translation with the instances of the last snapshot."""

    def __init__(
        self,
        services: Mapping[str, Service],
        destinations: Mapping[str, Destination],
        mesh: MeshConfig,
        memo: Memo,
        locality: str,
    ) -> None:
        self._services = services
        self._destinations = destinations
        self._mesh = mesh
        self._memo = memo
        self._locality = locality
        self._seen: Endpoints | None = None
        self._by_host: dict[str, tuple[tuple[Resource, ...], tuple[Resource, ...]]] = {}
        self._last = Outbound({}, {})

    def outbound(self, endpoints: Endpoints) -> Outbound:
        """The translation; only services whose instances changed since the last call are made anew."""
        if endpoints is self._seen:
            return self._last
        clusters, assignments = dict(self._last.clusters), dict(self._last.endpoints)
        same_clusters = self._seen is not None
        for host in self._changed(endpoints):
            old, new = self._by_host.get(host, ((), ())), self._translated(host, endpoints)
            self._by_host[host] = new
            same_clusters = same_clusters and old[0] == new[0]
            _swap(clusters, old[0], new[0])
            _swap(assignments, old[1], new[1])
        self._seen = endpoints
        self._last = Outbound(self._last.clusters if same_clusters else clusters, assignments)
        return self._last

    def _changed(self, endpoints: Endpoints) -> list[str]:
        before = self._seen
        if before is None:
            return list(self._services)
        if isinstance(before, ScopedEndpoints) and isinstance(endpoints, ScopedEndpoints):
            return endpoints.changed_since(before, self._memo)
        return [host for host in self._services if before.get(host, ()) is not endpoints.get(host, ())]

    def _translated(
        self, host: str, endpoints: Endpoints
    ) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
        service, destination = self._services[host], self._destinations.get(host)
        found = endpoints.get(host, ())
        memo, mesh = self._memo, self._mesh
        clusters = service_clusters(memo, service, destination, endpoints=found, mesh=mesh)
        assignments = service_assignments(
            memo, service, destination, endpoints=found, mesh=mesh, locality=self._locality
        )
        return clusters, assignments


def _swap(items: dict[str, Resource], old: tuple[Resource, ...], new: tuple[Resource, ...]) -> None:
    for one in old:
        items.pop(one.name, None)
    items.update((one.name, one) for one in new)
