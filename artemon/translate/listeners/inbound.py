"""Inbound listeners of sidecars: what peers connect to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.core.v3.base_pb2 import TrafficDirection, TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import (
    RetryPolicy,
    Route,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.model.gateway import ServerTLSSettings
from artemon.model.proxy import ProxyType
from artemon.model.service import Protocol
from artemon.snapshot.view import Mode, ProxyView
from artemon.translate import names
from artemon.translate.authz.texts import spellings
from artemon.translate.egress import instance_address
from artemon.translate.filters.inspect import (
    except_on,
    http_inspector,
    only_on,
    original_destination,
    original_source,
    tls_inspector,
)
from artemon.translate.filters.manager import Http, http_filter
from artemon.translate.filters.tcp import inbound_tcp_filter
from artemon.translate.guard import Guard, guard_of
from artemon.translate.ingress import Served, served_ports
from artemon.translate.listeners.base import WILDCARD, also_ipv6, listener
from artemon.translate.listeners.chains import (
    SHAPES,
    TLS,
    Shape,
    Traffic,
    needs_http_inspector,
    needs_tls_inspector,
)
from artemon.translate.listeners.tls import mesh_socket, sidecar_socket
from artemon.translate.routes.action import action_within
from artemon.translate.stat_names import inbound_prefix
from artemon.translate.telemetry.plaintext import plaintext_log
from artemon.translate.telemetry.side import Side
from artemon.translate.wire import ZERO

ANY_PORT = 0


@dataclass(frozen=True, slots=True)
class Door:
    """A set of filter chains: one port, or all others (`port` 0).

    cluster: where connections go. served: the declared port behind it, None when nothing declared it.
    """

    port: int
    mode: Mode
    traffic: Traffic
    cluster: str
    name: str
    served: Served | None = None

    @property
    def stands_alone(self) -> bool:
        """Whether a Sidecar keeps it out of interception."""
        ingress = self.served.ingress if self.served else None
        return ingress is not None and ingress.capture_mode == "NONE"

    @property
    def own_tls(self) -> ServerTLSSettings | None:
        """What a Sidecar terminates with certificates of its own: only where the mesh's mutual TLS is off."""
        ingress = self.served.ingress if self.served else None
        return ingress.tls if ingress is not None and self.mode == "DISABLE" else None

    @property
    def inspects_tls(self) -> bool:
        return needs_tls_inspector(self.mode) or self.own_tls is not None

    @property
    def inspects_http(self) -> bool:
        return needs_http_inspector(self.mode, self.traffic)


def inbound_listeners(view: ProxyView) -> Iterator[Listener]:
    """`virtualInbound` where traffic is intercepted, else one for each port on the instance's address."""
    if view.proxy.type is not ProxyType.SIDECAR:
        return
    address = instance_address(view)
    guard = guard_of(view)
    doors = [_door(view, served, address) for served in served_ports(view)]
    if view.proxy.intercepts:
        yield _virtual_inbound(view, [door for door in doors if not door.stands_alone], guard)
        doors = [door for door in doors if door.stands_alone]
    for door in doors:
        bind = (door.served.bind if door.served else "") or address
        out = listener(bind, door.port, TrafficDirection.INBOUND, view.mesh)
        out.filter_chains.extend(_chains(view, door, guard, match_port=False))
        if door.inspects_tls:
            out.listener_filters.append(tls_inspector())
        if door.inspects_http:
            out.listener_filters.append(http_inspector())
        yield out


def _door(view: ProxyView, served: Served, address: str) -> Door:
    return Door(
        port=served.port,
        mode=view.inbound_mtls.of(served.port),
        traffic=Traffic.of(served.protocol),
        cluster=names.inbound_cluster(served.port),
        name=names.listener(address, served.port),
        served=served,
    )


def _virtual_inbound(view: ProxyView, doors: list[Door], guard: Guard) -> Listener:
    port = view.proxy.inbound_port or view.mesh.proxy_inbound_listen_port
    out = listener(WILDCARD, port, TrafficDirection.INBOUND, view.mesh, name=names.VIRTUAL_INBOUND)
    if view.proxy.ipv6:
        also_ipv6(out)
    known = {door.port for door in doors}
    others = [_undeclared(ANY_PORT, view.inbound_mtls.default)]
    others += [
        _undeclared(number, mode)
        for number, mode in sorted(view.inbound_mtls.ports.items())
        if number not in known
    ]
    out.filter_chains.append(_loop_guard(view, port))
    for door in (*others, *doors):
        out.filter_chains.extend(_chains(view, door, guard, match_port=door.port != ANY_PORT))
    out.listener_filters.append(original_destination())
    if view.proxy.keeps_source:
        out.transparent.value = True
        out.listener_filters.append(original_source())
    out.listener_filters.extend(_inspectors([*others, *doors]))
    return out


def _undeclared(port: int, mode: Mode) -> Door:
    return Door(port, mode, Traffic.AUTO, names.INBOUND_PASSTHROUGH, names.VIRTUAL_INBOUND)


def _loop_guard(view: ProxyView, port: int) -> FilterChain:
    """Connections to the listener's own port would come back for ever."""
    out = FilterChain(name=names.VIRTUAL_INBOUND_BLACKHOLE)
    out.filter_chain_match.destination_port.value = port
    out.filters.append(inbound_tcp_filter(names.BLACK_HOLE, view, terminates=False))
    return out


def _inspectors(doors: Iterable[Door]) -> Iterator[ListenerFilter]:
    """Each inspector only where it is needed: waiting for bytes breaks servers that speak first."""
    everything = list(doors)
    for wanted, make in (("inspects_tls", tls_inspector), ("inspects_http", http_inspector)):
        on = {door.port for door in everything if getattr(door, wanted)}
        off = {door.port for door in everything} - on
        if ANY_PORT in on:
            yield make(except_on(off) if off else None)
        elif on:
            yield make(only_on(on))


def _chains(view: ProxyView, door: Door, guard: Guard, *, match_port: bool) -> Iterator[FilterChain]:
    for shape, tls in _shapes(view, door):
        out = FilterChain(name=_chain_name(door, shape))
        if match_port:
            out.filter_chain_match.destination_port.value = door.port
        out.filter_chain_match.transport_protocol = shape.transport
        out.filter_chain_match.application_protocols.extend(shape.alpn)
        if tls is not None:
            out.transport_socket.CopyFrom(tls)
        logs = _logs(door, shape)
        if shape.http:
            out.filters.append(_http(view, door, guard, logs))
        else:
            prefix = inbound_prefix(door.cluster, door.served, view)
            onward = inbound_tcp_filter(
                door.cluster, view, terminates=shape.terminates, stat_prefix=prefix, logs=logs
            )
            out.filters.extend((*guard.network, onward))
        yield out


def _logs(door: Door, shape: Shape) -> tuple[AccessLog, ...]:
    """Who comes without mutual TLS is counted where it is not required, though it may be one day."""
    if door.mode != "PERMISSIVE" or shape.terminates:
        return ()
    return (plaintext_log(door.port, http=shape.http, tls=shape.transport == TLS),)


def _shapes(view: ProxyView, door: Door) -> Iterator[tuple[Shape, TransportSocket | None]]:
    """The chains of a door with what terminates their TLS; HTTPS that ends here is HTTP."""
    https = door.served is not None and door.served.protocol is Protocol.HTTPS
    http = https or door.traffic is not Traffic.TCP
    own = sidecar_socket(door.own_tls, http=http)
    if own is not None:
        yield Shape(TLS, terminates=True, http=http), own
        return
    for shape in SHAPES[door.mode, door.traffic]:
        yield shape, mesh_socket(view.mesh, view.trust_domain, http=shape.http) if shape.terminates else None


def _chain_name(door: Door, shape: Shape) -> str:
    if door.name == names.VIRTUAL_INBOUND and shape.http:
        return names.VIRTUAL_INBOUND_CATCHALL_HTTP
    return door.name


def _http(view: ProxyView, door: Door, guard: Guard, logs: Sequence[AccessLog]) -> Filter:
    grpc = door.served is not None and door.served.protocol in (Protocol.GRPC, Protocol.GRPC_WEB)
    http = Http(
        side=Side.INBOUND,
        stat_prefix=f"inbound_0.0.0.0_{door.port};" if door.port else "inbound_0.0.0.0_catchall;",
        route=inbound_route(door, retries=not grpc),
        grpc_web=door.served is not None and door.served.protocol is Protocol.GRPC_WEB,
        grpc=door.served is not None and door.served.protocol.is_http2,
        first=guard.http,
        strict_paths=guard.strict_paths,
        logs=logs,
    )
    return http_filter(http, view)


_CERTIFICATE = "x-forwarded-client-cert"
NO_CERTIFICATES = tuple(sorted({*spellings(_CERTIFICATE)} - {_CERTIFICATE}))
"""What servers that make variables of headers cannot tell from the one in which Envoy says who calls."""


def inbound_route(door: Door, *, retries: bool) -> RouteConfiguration:
    """Everything to the application. A request that it surely did not see, because the connection was reset
    before, is tried again; not so for gRPC, where clients decide."""
    action = action_within(ZERO)
    action.cluster = door.cluster
    if retries:
        policy = RetryPolicy(retry_on="reset-before-request")
        policy.num_retries.value = 2
        action.retry_policy.CopyFrom(policy)
    route = Route(name=names.DEFAULT_ROUTE, match=RouteMatch(prefix="/"), route=action)
    served = door.served
    host = served.host if served and served.host else "*"
    route.decorator.operation = names.service_stat_name(host, served.service_port if served else door.port)
    virtual_host = VirtualHost(name=names.inbound_virtual_host(door.port), domains=["*"], routes=[route])
    out = RouteConfiguration(
        name=door.cluster, virtual_hosts=[virtual_host], request_headers_to_remove=NO_CERTIFICATES
    )
    out.validate_clusters.value = False
    return out
