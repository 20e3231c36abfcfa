"""What the proxies of one scope may see: exportTo, and the hosts that a Sidecar imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from artemon.model.hosts import covers, overlap
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.model.service import Service
from artemon.model.sidecar import Sidecar
from artemon.snapshot.virtual_services import MESH_GATEWAY, Routes, destination_hosts, visible

ByHost = Mapping[str, tuple[Service, ...]]
"""All services by host; of one host the oldest first."""


@dataclass(frozen=True, slots=True)
class Imports:
    """The `hosts` of an egress listener: pairs of namespace (`*`, `~` or a name) and host pattern."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, hosts: Iterable[str], namespace: str) -> Imports:
        """Read `<namespace>/<host>`; `.` is the Sidecar's own namespace."""
        split = ((space, name) for space, _, name in (host.partition("/") for host in hosts))
        return cls(tuple((namespace if space == "." else space, name.lower()) for space, name in split))

    def service(self, service: Service) -> bool:
        """Whether it is imported."""
        return any(
            space in ("*", service.namespace) and covers(pattern, service.host)
            for space, pattern in self.pairs
        )

    def routes(self, resource: Routes) -> bool:
        """Whether one of its hosts is imported."""
        return any(
            space in ("*", resource.meta.namespace)
            and any(overlap(pattern, host) for host in resource.spec.hosts)
            for space, pattern in self.pairs
        )


EVERYTHING = Imports((("*", "*"),))


def imports(sidecar: Resource[Sidecar] | None) -> tuple[Imports, ...]:
    """One for each egress listener; a Sidecar without any imports everything."""
    if sidecar is None or not sidecar.spec.egress:
        return (EVERYTHING,)
    return tuple(Imports.of(listener.hosts, sidecar.meta.namespace) for listener in sidecar.spec.egress)


def sidecar_for(
    labels: Mapping[str, str], own: Sequence[Resource[Sidecar]], root: Sequence[Resource[Sidecar]]
) -> Resource[Sidecar] | None:
    """The Sidecar in force: of the proxy's namespace the one that selects it, else that for all; else that
    for all of the root namespace. Of several the oldest (both sequences are oldest first)."""
    chosen = (one for one in own if _selector(one) and matches(_selector(one), labels))
    for_all = (one for one in (*own, *root) if not _selector(one))
    return next(chosen, None) or next(for_all, None)


def _selector(sidecar: Resource[Sidecar]) -> Mapping[str, str]:
    chosen = sidecar.spec.workload_selector
    return chosen.labels if chosen else {}


def exported(service: Service, namespace: str) -> bool:
    """Whether `namespace` may see the service; `~` is nobody."""
    return "*" in service.export_to or namespace in service.export_to


def choose(candidates: Iterable[Service], namespace: str) -> Service | None:
    """Of services with one host that `namespace` may see: its own, else the oldest."""
    seen = [one for one in candidates if exported(one, namespace)]
    own = (one for one in seen if one.namespace == namespace)
    return next(own, None) or next(iter(seen), None)


def visible_routes(
    resources: Sequence[Routes],
    sidecar: Resource[Sidecar] | None,
    namespace: str,
    default_export: tuple[str, ...],
) -> tuple[Routes, ...]:
    """The VirtualServices that proxies of the scope follow, oldest first."""
    wanted = imports(sidecar)
    return tuple(
        one
        for one in resources
        if one.spec.hosts
        and visible(one, namespace, default_export)
        and (wanted == (EVERYTHING,) or any(each.routes(one) for each in wanted))
    )


def visible_services(
    by_host: ByHost, routes: Sequence[Routes], sidecar: Resource[Sidecar] | None, namespace: str
) -> dict[str, Service]:
    """The services that proxies of the scope see, by host and in host order: what the Sidecar imports, and
    what the imported mesh routes send to."""
    wanted = imports(sidecar)
    if wanted == (EVERYTHING,):
        found = ((host, choose(candidates, namespace)) for host, candidates in by_host.items())
        return {host: service for host, service in found if service is not None}
    return dict(sorted(_imported(by_host, routes, wanted, namespace)))


def _imported(
    by_host: ByHost, routes: Sequence[Routes], wanted: Sequence[Imports], namespace: str
) -> Iterator[tuple[str, Service]]:
    targets = {host for one in routes if MESH_GATEWAY in one.spec.gateways for host in destination_hosts(one)}
    for host, candidates in by_host.items():
        named = [one for one in candidates if any(each.service(one) for each in wanted)]
        service = choose(named, namespace) or (choose(candidates, namespace) if host in targets else None)
        if service is not None:
            yield host, service
