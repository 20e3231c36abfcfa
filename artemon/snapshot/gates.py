"""Egress gateways: Gateways that ServiceEntries name as the way out, and their proxies as a service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from artemon.model.egress import EGRESS_GATEWAY, Egress, Gate
from artemon.model.gateway import Gateway, Server
from artemon.model.hosts import covers
from artemon.model.kinds import GATEWAY, SERVICE_ENTRY
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.model.service import Endpoint, Port, Protocol, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.services import GATES, Source


def gate_of(gateway: Resource[Gateway], domain: str) -> Gate | None:
    """How the proxies of a Gateway are entered: by its first server that ends mutual TLS of the mesh."""
    server = _entrance(gateway.spec)
    if server is None or server.port is None:
        return None
    meta = gateway.meta
    admits = (host.rpartition("/") for host in server.hosts)
    spaces = {".": meta.namespace, "": "*"}
    return Gate(
        ref=f"{meta.namespace}/{meta.name}",
        host=f"{meta.name}.{meta.namespace}.gateway.{domain}",
        port=server.port.number,
        port_name=server.port.name,
        admits=tuple((spaces.get(space, space), pattern.lower()) for space, _, pattern in admits),
    )


def _entrance(spec: Gateway) -> Server | None:
    return next((one for index, one in enumerate(spec.servers) if is_entrance(spec, index)), None)


def is_entrance(spec: Gateway, index: int) -> bool:
    """Whether those who go out come in by this server: the first that ends mutual TLS of the mesh."""
    ends = [
        one.tls is not None
        and one.tls.mode == "ISTIO_MUTUAL"
        and one.port is not None
        and one.port.number > 0
        for one in spec.servers
    ]
    return ends[index] and not any(ends[:index])


def is_admitted(gate: Gate, host: str, namespace: str) -> bool:
    """Whether a host that belongs to `namespace` may go out there."""
    return any(space in ("*", namespace) and covers(pattern, host) for space, pattern in gate.admits)


class Gates:
    """The Gateways that ServiceEntries name as their way out, one change at a time."""

    def __init__(self) -> None:
        self._named: Counter[str] = Counter()
        self._gateways: dict[str, Resource[Gateway]] = {}

    def take(self, old: Resource[Any] | None, new: Resource[Any] | None) -> set[str]:
        """Take in a Gateway or ServiceEntry before and after a change. Returns the ways that it touches."""
        touched: set[str] = set()
        for one, step in ((old, -1), (new, 1)):
            if one is not None and one.kind is GATEWAY:
                ref = f"{one.meta.namespace}/{one.meta.name}"
                self._gateways.pop(ref, None)
                if one is new:
                    self._gateways[ref] = one
                touched |= {ref} & self._named.keys()
            elif one is not None and one.kind is SERVICE_ENTRY and EGRESS_GATEWAY in one.meta.annotations:
                ref = one.meta.annotations[EGRESS_GATEWAY]
                self._named[ref] += step
                touched.add(ref)
        return touched

    def within(self, namespace: str) -> list[str]:
        """The ways out that lead through a namespace."""
        return [ref for ref in self._gateways if self._named[ref] and ref.startswith(f"{namespace}/")]

    def source(self, ref: str, domain: str, known: Iterable[Source]) -> Source | None:
        """What makes the proxies of a Gateway a service; None when nobody goes out there."""
        gateway = self._gateways.get(ref) if self._named[ref] else None
        gate = gate_of(gateway, domain) if gateway is not None else None
        return gate_source(gateway, gate, known) if gateway is not None and gate is not None else None

    def open(self, domain: str) -> tuple[Gate, ...]:
        """Every way out that somebody uses, in order."""
        used = (self._gateways.get(ref) for ref in sorted(self._named) if self._named[ref])
        found = (gate_of(gateway, domain) for gateway in used if gateway is not None)
        return tuple(gate for gate in found if gate is not None)


def gate_source(gateway: Resource[Gateway], gate: Gate, known: Iterable[Source]) -> Source:
    """The proxies of a Gateway as a service: workloads of its namespace that it selects, and instances that
    other sources (`known`) list with these labels behind the same port number."""
    namespace = gateway.meta.namespace
    port = Port(gate.port, gate.port_name, Protocol.TLS)
    service = Service(
        host=gate.host, namespace=namespace, ports=(port,), source=gateway.ref, asked_by_name=False
    )
    listed = (
        one for source in known if source.namespace == namespace for one in _listed(source, gateway, port)
    )
    inline = {endpoint.address: endpoint for endpoint in listed}
    return Source(
        id=gateway.ref,
        namespace=namespace,
        services=(service,),
        rank=GATES,
        selector=gateway.spec.selector,
        inline=tuple(inline[address] for address in sorted(inline)),
        selects_pods=False,  # those are listed by the Services in front of them, with the port that they mean
    )


def _listed(source: Source, gateway: Resource[Gateway], entrance: Port) -> Iterator[Endpoint]:
    """The instances of a source that the Gateway selects and that serve its port."""
    numbered = [port for one in source.services[:1] for port in one.ports if port.number == entrance.number]
    for endpoint in source.inline if numbered and source.rank != GATES else ():
        if gateway.spec.selector and matches(gateway.spec.selector, endpoint.labels):
            served = endpoint.ports.get(numbered[0].name, numbered[0].target_port or entrance.number)
            yield replace(endpoint, ports={entrance.name: served})


def led_through(services: Mapping[str, Service], memo: Memo, *more: Any) -> dict[str, Service]:
    """The services that a proxy sees, those outside with their way out resolved, and the ways themselves.

    more: the services of all gates, the gates in the same order, and the Gateways (`<namespace>/<name>`) that
    the proxy itself serves, from where it goes out directly."""
    *doors, gates, here = more
    ways = {gate.ref: (gate, door) for gate, door in zip(gates, doors, strict=True)}
    found = dict(services)
    for host, service in services.items():
        if service.egress is None:
            continue
        ref = service.egress.gateway
        gate, door = ways.get(ref, (None, None))
        if gate is not None and not is_admitted(gate, host, service.namespace):
            gate = None
        found[host] = memo.get(_leaving, service, by=(Egress(ref, gate, here=ref in here),))
        if gate is not None and door is not None:
            found.setdefault(gate.host, door)
    return dict(sorted(found.items()))


def _leaving(service: Service, egress: Egress) -> Service:
    return replace(service, egress=egress)
