"""Servers of all Gateways of a router, merged into the ports that it listens on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from artemon.model.gateway import Gateway, Server
from artemon.model.hosts import covers
from artemon.model.proxy import ProxyType
from artemon.model.resource import Resource
from artemon.model.service import Protocol
from artemon.snapshot.gateway_conflicts import Claim, Opening, claim_of, opening_of, settle
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.leniency import protocol_of

WILDCARD = "0.0.0.0"
SERVICES_ANNOTATION = "internal.istio.io/gateway-service"
"""Names the services that a Gateway listens for, in place of a selector."""


@dataclass(frozen=True, slots=True)
class GatewayServer:
    """One server of one Gateway. number: the port as written, which rules match on. lost: patterns of its
    hosts that an older Gateway has."""

    gateway: Resource[Gateway]
    index: int
    number: int
    protocol: Protocol
    lost: frozenset[str] = frozenset()

    @property
    def server(self) -> Server:
        """The server as written."""
        return self.gateway.spec.servers[self.index]

    @property
    def claim(self) -> Claim:
        """What it wants of its port."""
        return claim_of(self.gateway, self.index, self.protocol)

    @property
    def ref(self) -> str:
        """`<namespace>/<name>` of its Gateway, as VirtualServices name it."""
        return f"{self.gateway.meta.namespace}/{self.gateway.meta.name}"

    @property
    def opening(self) -> Opening:
        """What its connections begin with."""
        return opening_of(self.protocol)

    @property
    def passes_through(self) -> bool:
        """Whether TLS is forwarded unopened."""
        tls = self.server.tls
        return tls is None or tls.mode in ("PASSTHROUGH", "AUTO_PASSTHROUGH")

    @property
    def goes_by_cluster(self) -> bool:
        """Whether the server name is a cluster's, whatever rules say (AUTO_PASSTHROUGH)."""
        return self.server.tls is not None and self.server.tls.mode == "AUTO_PASSTHROUGH"

    @property
    def redirects(self) -> bool:
        """Whether plain requests are sent to https."""
        return self.server.tls is not None and self.server.tls.https_redirect

    def hosts(self, namespace: str | None = None) -> list[str]:
        """The host patterns, of those that admit rules of `namespace`; None for all."""
        found = []
        for entry in self.server.hosts:
            owner, _, pattern = entry.rpartition("/")
            owner = self.gateway.meta.namespace if owner == "." else owner
            admitted = namespace is None or owner in ("", "*", namespace)
            if admitted and pattern.lower() not in self.lost:
                found.append(pattern.lower())
        return found


@dataclass(frozen=True, slots=True)
class GatewayPort:
    """One listener of a router: what it is bound to, and its servers, those of older Gateways first."""

    bind: str
    port: int
    opening: Opening
    servers: tuple[GatewayServer, ...]

    @property
    def address(self) -> str:
        """The address it binds to."""
        return self.bind or WILDCARD


def passes_on(gateways: Iterable[Resource[Gateway]]) -> bool:
    """Whether a router passes TLS on by the names of clusters."""
    tls = (server.tls for gateway in gateways for server in gateway.spec.servers)
    return any(one is not None and one.mode == "AUTO_PASSTHROUGH" for one in tls)


def gateway_ports(view: ProxyView) -> tuple[GatewayPort, ...]:
    """The listeners of a router. What servers of a port contend for, the oldest Gateway has."""
    if view.proxy.type is not ProxyType.ROUTER:
        return ()
    groups: dict[tuple[str, int], list[GatewayServer]] = {}
    for gateway in view.gateways:
        for server in _servers(gateway):
            for port in _listen_ports(view, server):
                groups.setdefault((server.server.bind, port), []).append(server)
    found = []
    for (bind, port), servers in sorted(groups.items()):
        found.append(GatewayPort(bind, port, servers[0].opening, tuple(_settled(servers))))
    return tuple(found)


def _settled(servers: list[GatewayServer]) -> Iterator[GatewayServer]:
    """The servers of a port with what each of them gets; those that get nothing are left out."""
    claims = [server.claim for server in servers]
    lost: dict[tuple[str, int], set[str]] = {}
    for conflict in settle(claims):
        lost.setdefault((conflict.gateway, conflict.index), set()).add(conflict.host)
    for server, claim in zip(servers, claims, strict=True):
        gone = lost.get((claim.gateway, claim.index), set())
        if "" not in gone and (not gone or gone < set(claim.hosts)):
            yield replace(server, lost=frozenset(gone))


def _servers(gateway: Resource[Gateway]) -> Iterator[GatewayServer]:
    for index, server in enumerate(gateway.spec.servers):
        if server.port is not None:
            protocol = protocol_of(server.port.protocol)
            yield GatewayServer(gateway, index, server.port.number, protocol)


def _listen_ports(view: ProxyView, server: GatewayServer) -> list[int]:
    """Where the router listens for a server's port: where it says it does for that number, else at the target
    of the service port with that number, else at the number itself."""
    named = server.gateway.meta.annotations.get(SERVICES_ANNOTATION, "")
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    declared = [port.listen_port for port in view.proxy.ports if port.number == server.number]
    if declared and not hosts:
        return declared[:1]
    found = [
        port.target_port or port.number
        for service in view.own
        for port in service.ports
        if port.number == server.number and (not hosts or service.host in hosts)
    ]
    if not found and not hosts:
        found = [server.number]
    return list(dict.fromkeys(found))


def http_route_name(port: GatewayPort, server: GatewayServer) -> str:
    """The route configuration of a server: one for all plain servers of a port, one for each TLS server."""
    if server.opening is Opening.HTTP:
        return names.gateway_http_route(port.port, port.bind)
    assert server.server.port is not None
    meta = server.gateway.meta
    return names.gateway_https_route(
        server.number, server.server.port.name, meta.name, meta.namespace, bind=port.bind
    )


def common_host(one: str, other: str) -> str | None:
    """The narrower of two overlapping host patterns; None when no name is meant by both."""
    if covers(one, other):
        return other
    return one if covers(other, one) else None


def common_hosts(patterns: Iterable[str], others: Iterable[str]) -> list[str]:
    """All that both lists of patterns mean."""
    rest = list(others)
    found = (common_host(one, other) for one in patterns for other in rest)
    return list(dict.fromkeys(host for host in found if host is not None))
