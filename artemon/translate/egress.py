"""What a sidecar offers to its application: which services on which listeners and in which route tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from artemon.model.proxy import ProxyType
from artemon.model.service import Port, Protocol, Service
from artemon.model.sidecar import IstioEgressListener, OutboundTrafficPolicy
from artemon.snapshot.scope import Imports
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.leniency import is_ip, protocol_of

Offer = tuple[Service, Port]
"""A port of a service, as clients see it."""


@dataclass(frozen=True, slots=True)
class Egress:
    """Services that share listeners: those of one Sidecar egress listener, or all that are visible.

    port: 0 is the services' own ports. bind: "" is the instance's address, or the wildcard when captured;
    `unix://<path>` is a socket, without a port. captured: whether traffic comes by interception, so that
    nothing is bound.
    """

    services: tuple[Service, ...]
    captured: bool
    port: int = 0
    protocol: Protocol = Protocol.AUTO
    bind: str = ""

    @property
    def is_socket(self) -> bool:
        """Whether it is a Unix domain socket."""
        return self.bind.startswith("unix://")

    @property
    def is_sole(self) -> bool:
        """Whether whoever connects to its address can only mean its one service."""
        own_address = bool(self.bind) or not self.captured
        return own_address and bool(self.port) and len(self.services) == 1


@dataclass(frozen=True, slots=True)
class RouteTable:
    """One route configuration of a sidecar.

    with_ports: hosts are asked for as `host:port` (an HTTP proxy). sole: one listener for one service, so
    that any host means it. others: whether rules for hosts that no service has belong here.
    """

    name: str
    offers: tuple[Offer, ...]
    port: int = 0
    with_ports: bool = False
    sole: bool = False
    others: bool = False


def egress_of(view: ProxyView) -> tuple[Egress, ...]:
    """The outbound side of a sidecar. Without interception, services have no listener of their own unless
    the Sidecar in force asks for one."""
    if view.proxy.type is not ProxyType.SIDECAR:
        return ()
    listeners = view.sidecar.spec.egress if view.sidecar is not None else ()
    everything = tuple(one for one in view.services.values() if one.asked_by_name)
    if not listeners:
        return (Egress(everything, captured=True),) if view.proxy.intercepts else ()
    assert view.sidecar is not None
    found = (_egress(view, one, view.sidecar.meta.namespace) for one in listeners)
    return tuple(one for one in found if one is not None)


def _egress(view: ProxyView, listener: IstioEgressListener, namespace: str) -> Egress | None:
    captured = view.proxy.intercepts and listener.capture_mode != "NONE"
    imported = filter(Imports.of(listener.hosts, namespace).service, view.services.values())
    services = tuple(one for one in imported if one.asked_by_name)
    if listener.port is None:
        return Egress(services, captured=True) if captured else None
    protocol = protocol_of(listener.port.protocol)
    if listener.bind.startswith("unix://"):
        return Egress(services, captured=False, protocol=protocol, bind=listener.bind)
    number = listener.port.number
    return Egress(
        services=tuple(s for s in services if any(port.number == number for port in s.ports)),
        captured=captured,
        port=number,
        protocol=protocol,
        bind=listener.bind,
    )


def offers(egress: Egress) -> Iterator[Offer]:
    """Every port of every service on offer."""
    for service in egress.services:
        for port in service.ports:
            if egress.port in (0, port.number):
                yield service, port


def virtual_addresses(service: Service) -> tuple[str, ...]:
    """The single addresses that clients connect to, without CIDR blocks."""
    return tuple(address for address in service.addresses if is_ip(address) and address != "0.0.0.0")


def route_tables(view: ProxyView) -> Mapping[str, RouteTable]:
    """Every route configuration that this sidecar's outbound listeners name, by name."""
    tables: dict[str, RouteTable] = {}
    for egress in egress_of(view):
        for table in _tables(egress):
            tables.setdefault(table.name, table)
    if proxy_port(view):
        known = (service for service in view.services.values() if service.asked_by_name)
        asked = [(s, p) for s in known for p in s.ports if takes_http(p.protocol)]
        tables[names.HTTP_PROXY] = RouteTable(
            names.HTTP_PROXY, tuple(asked), port=80, with_ports=True, others=True
        )
    return tables


def _tables(egress: Egress) -> Iterator[RouteTable]:
    if egress.is_socket:
        if egress.protocol.is_http:
            found = tuple(offer for offer in offers(egress) if takes_http(offer[1].protocol))
            yield RouteTable(egress.bind, found, port=80, with_ports=True, others=True)
        return
    yield from _port_tables(egress)


def _port_tables(egress: Egress) -> Iterator[RouteTable]:
    by_port: dict[int, list[Offer]] = {}
    for service, port in offers(egress):
        http = egress.protocol.is_http if egress.protocol else takes_http(port.protocol)
        if not http:
            continue
        by_port.setdefault(port.number, []).append((service, port))
        if port.protocol is Protocol.AUTO and not egress.port and virtual_addresses(service):
            name = names.host_route(service.host, port.number)
            yield RouteTable(name, ((service, port),), port=port.number, sole=True)
    if egress.port and egress.protocol.is_http:
        by_port.setdefault(egress.port, [])
    for number, found in by_port.items():
        name = names.outbound_route(number)
        yield RouteTable(name, tuple(found), port=number, sole=egress.is_sole, others=number == 80)


def takes_http(protocol: Protocol) -> bool:
    """Whether requests can come over a port: it says HTTP, or does not say."""
    return protocol.is_http or protocol is Protocol.AUTO


def proxy_port(view: ProxyView) -> int:
    """Where the application finds an HTTP proxy; 0 for nowhere."""
    if view.proxy.type is not ProxyType.SIDECAR:
        return 0
    return view.proxy.http_proxy_port or view.mesh.proxy_http_port


def instance_address(view: ProxyView) -> str:
    """The first address of the instance."""
    return view.proxy.ip_addresses[0] if view.proxy.ip_addresses else "0.0.0.0"


def outbound_policy(view: ProxyView) -> OutboundTrafficPolicy:
    """The Sidecar's word, else the mesh's; ALLOW_ANY when neither has one."""
    if view.sidecar is not None and view.sidecar.spec.outbound_traffic_policy is not None:
        return view.sidecar.spec.outbound_traffic_policy
    strict = view.mesh.outbound_traffic_policy.mode == "REGISTRY_ONLY"
    return OutboundTrafficPolicy(mode="REGISTRY_ONLY" if strict else "ALLOW_ANY")


def egress_cluster(view: ProxyView) -> str:
    """Where traffic to unknown destinations goes: nowhere, to the egress proxy, or where it was going."""
    policy = outbound_policy(view)
    if policy.mode == "REGISTRY_ONLY":
        return names.BLACK_HOLE
    if policy.egress_proxy is not None and policy.egress_proxy.port is not None:
        proxy = policy.egress_proxy
        return names.outbound_cluster(proxy.host, policy.egress_proxy.port.number, proxy.subset)
    return names.PASSTHROUGH
