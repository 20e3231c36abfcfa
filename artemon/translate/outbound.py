"""Clusters and instances of all services in sight, made anew only where instances changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.snapshot import ScopedEndpoints
from artemon.snapshot.view import Destination
from artemon.translate.clusters import service_assignments, service_clusters
from artemon.translate.targets import Client
from artemon.xds.resource import Resource

Named = Mapping[str, Resource]
Endpoints = Mapping[str, tuple[Endpoint, ...]]


@dataclass(frozen=True, slots=True)
class Outbound:
    """Clusters and instances of the services in a scope. changed: the names of `endpoints` that may differ
    from `older`, the ones before."""

    clusters: Named
    endpoints: Named
    older: Named
    changed: frozenset[str]


class OutboundScope:
    """The services that some proxies see, and their translation with the instances of the last snapshot."""

    def __init__(
        self,
        services: Mapping[str, Service],
        destinations: Mapping[str, Destination],
        mesh: MeshConfig,
        memo: Memo,
        client: Client,
    ) -> None:
        self._services = services
        self._destinations = destinations
        self._mesh = mesh
        self._memo = memo
        self._client = client
        self._behind = _behind(services)
        self._seen: Endpoints | None = None
        self._by_host: dict[str, tuple[tuple[Resource, ...], tuple[Resource, ...]]] = {}
        self._last = Outbound({}, {}, {}, frozenset())

    def outbound(self, endpoints: Endpoints) -> Outbound:
        """The translation; only services whose instances changed since the last call are made anew."""
        if endpoints is self._seen:
            return self._last
        changes = [(self._by_host.get(host, _NOTHING), host) for host in self._changed(endpoints)]
        for _, host in changes:
            self._by_host[host] = self._translated(host, endpoints)
        pairs = [(old, self._by_host[host]) for old, host in changes]
        last = self._last
        self._last = Outbound(
            clusters=_swapped(last.clusters, [(old[0], new[0]) for old, new in pairs]),
            endpoints=_swapped(last.endpoints, [(old[1], new[1]) for old, new in pairs]),
            older=last.endpoints,
            changed=frozenset(one.name for pair in pairs for side in pair for one in side[1]),
        )
        self._seen = endpoints
        return self._last

    def _changed(self, endpoints: Endpoints) -> list[str]:
        before = self._seen
        if before is None:
            return list(self._services)
        if isinstance(before, ScopedEndpoints) and isinstance(endpoints, ScopedEndpoints):
            changed = endpoints.changed_since(before, self._memo)
        else:
            changed = [one for one in self._services if before.get(one, ()) is not endpoints.get(one, ())]
        return [*changed, *(host for gate in changed for host in self._behind.get(gate, ()))]

    def _translated(
        self, host: str, endpoints: Endpoints
    ) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
        service, destination = self._services[host], self._destinations.get(host)
        found = endpoints.get(_door(service) or host, ())
        memo, mesh, client = self._memo, self._mesh, self._client
        clusters = service_clusters(memo, service, destination, endpoints=found, mesh=mesh, client=client)
        assignments = service_assignments(
            memo, service, destination, endpoints=found, mesh=mesh, client=client
        )
        return clusters, assignments


def _door(service: Service) -> str:
    """The host of the gateway that a service is reached through, "" for none."""
    egress = service.egress
    return egress.gate.host if egress is not None and egress.gate is not None and not egress.here else ""


def _behind(services: Mapping[str, Service]) -> Mapping[str, list[str]]:
    """The hosts that are reached through each gateway."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for host, service in services.items():
        if _door(service):
            found[_door(service)].append(host)
    return found


_NOTHING: tuple[tuple[Resource, ...], tuple[Resource, ...]] = ((), ())


def _swapped(items: Named, pairs: list[tuple[tuple[Resource, ...], tuple[Resource, ...]]]) -> Named:
    """`items` with the old resources of each pair replaced by the new ones; the same object when none is."""
    pairs = [(old, new) for old, new in pairs if old != new]
    if not pairs:
        return items
    out = dict(items)
    for old, new in pairs:
        for one in old:
            out.pop(one.name, None)
        out.update((one.name, one) for one in new)
    return out
