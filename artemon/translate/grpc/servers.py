"""What a gRPC server asks for: a Listener named after the address that it listens on (gRFC A36)."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import NonForwardingAction, Route, RouteMatch, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)

from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.grpc.guard import filters_of
from artemon.translate.grpc.listeners import ROUTER
from artemon.translate.grpc.tls import server_socket
from artemon.translate.ingress import served_ports
from artemon.translate.wire import packed
from artemon.xds.resource import Resource
from artemon.xds.types import LISTENER

TEMPLATES = ("grpc/server?xds.resource.listening_address={}", "xds.istio.io/grpc/lds/inbound/{}")
"""What bootstraps call `server_listener_resource_name_template`, gRPC's own way and Istio's."""
_ANYWHERE = ("0.0.0.0", "::")


def server_listeners(view: ProxyView) -> tuple[Resource, ...]:
    """One for each port of the workload, by each address it may listen on. Mutual TLS where the mesh is
    strict; gRPC cannot look at a connection first, so a permissive server takes plaintext. None, so that it
    serves nothing, for a workload that is to look at tokens: gRPC cannot."""
    filters = filters_of(view)
    if filters is None:
        return ()
    found = []
    for served in served_ports(view):
        strict = view.inbound_mtls.of(served.port) == "STRICT"
        for address in (*_ANYWHERE, *view.proxy.ip_addresses):
            listening = f"[{address}]:{served.port}" if ":" in address else f"{address}:{served.port}"
            for template in TEMPLATES:
                name = template.format(listening)
                one = _listener(name, address, served.port, strict=strict, filters=filters)
                found.append(Resource.of(name, LISTENER, one))
    return tuple(found)


def _listener(name: str, address: str, port: int, *, strict: bool, filters: Sequence[HttpFilter]) -> Listener:
    manager = Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=packed(_manager(port, filters))
    )
    chain = FilterChain(name=names.inbound_cluster(port), filters=[manager])
    if strict:
        chain.transport_socket.CopyFrom(server_socket())
    out = Listener(name=name, default_filter_chain=chain)
    out.address.socket_address.address = address
    out.address.socket_address.port_value = port
    return out


def _manager(port: int, filters: Sequence[HttpFilter]) -> HttpConnectionManager:
    everything = Route(match=RouteMatch(prefix=""), non_forwarding_action=NonForwardingAction())
    host = VirtualHost(name=names.inbound_virtual_host(port), domains=["*"], routes=[everything])
    routes = RouteConfiguration(name=names.inbound_route(port), virtual_hosts=[host])
    return HttpConnectionManager(route_config=routes, http_filters=[*filters, ROUTER])
