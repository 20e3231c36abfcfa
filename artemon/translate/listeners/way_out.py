"""What goes out through an egress gateway: one chain for each cluster that ServiceEntries lead through it.

Sidecars come over mutual TLS and say by the server name, which is that of a cluster, where they want to go.
"""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.route.v3.route_components_pb2 import Route, RouteMatch, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.snapshot.gates import is_entrance
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.dynamic_dns import looks_up
from artemon.translate.filters.manager import Http, http_filter
from artemon.translate.gateways import GatewayPort, GatewayServer
from artemon.translate.guard import Guard
from artemon.translate.listeners.tcp import passing_on
from artemon.translate.listeners.tls import mesh_socket
from artemon.translate.routes.action import action_within
from artemon.translate.routes.l4 import Connections
from artemon.translate.routes.retry import retry_policy
from artemon.translate.routes.scope import targets_of
from artemon.translate.targets import Target
from artemon.translate.targets import targets as clusters_of
from artemon.translate.telemetry.side import Side
from artemon.translate.wire import ZERO


def way_out(view: ProxyView, port: GatewayPort, server: GatewayServer, guard: Guard) -> Iterator[FilterChain]:
    """The chains of a server; none unless it is the entrance of an egress gateway that somebody uses. guard:
    what stands before requests; that before bytes is for the caller to add."""
    if not is_entrance(server.gateway.spec, server.index):
        return
    for service in view.services.values():
        egress = service.egress
        if egress is None or not egress.here or egress.gateway != server.ref or egress.gate is None:
            continue
        for target in clusters_of(service, view.destinations.get(service.host), view.mesh):
            http = target.port.protocol.is_http
            chain = FilterChain(filters=[_http(view, port, target, guard)] if http else _bytes(view, target))
            chain.filter_chain_match.server_names.append(target.sni)
            chain.transport_socket.CopyFrom(mesh_socket(view.mesh, view.trust_domain, http=http))
            yield chain


def _bytes(view: ProxyView, target: Target) -> list[Filter]:
    """Connections to the cluster."""
    host, number, subset = target.service.host, target.port.number, target.subset_name
    manner = targets_of(view).default_manner(host, number, subset)
    return passing_on(Connections(((target.name, 1),), manner=manner), view)


def _http(view: ProxyView, port: GatewayPort, target: Target, guard: Guard) -> Filter:
    """Requests to the cluster, whatever host the sidecar wrote; where hosts are looked up, the service's own
    alone."""
    host, number = target.service.host, target.port.number
    action = action_within(ZERO)
    action.cluster = target.name
    retries = retry_policy(view.mesh.default_http_retry_policy, sticky=False)
    if retries is not None:
        action.retry_policy.CopyFrom(retries)
    route = Route(name=names.DEFAULT_ROUTE, match=RouteMatch(prefix="/"), route=action)
    route.decorator.operation = names.service_stat_name(host, number)
    routes = RouteConfiguration(name=target.name, ignore_port_in_host_matching=True)
    routes.validate_clusters.value = False
    routes.virtual_hosts.append(
        VirtualHost(
            name=names.virtual_host(host, number),
            domains=[host if target.discovery is None else "*"],
            routes=[route],
        )
    )
    prefix = f"outbound_{names.listener(port.address, port.port)};"
    http = Http(
        side=Side.GATEWAY,
        stat_prefix=prefix,
        route=routes,
        grpc=True,
        looks_up=looks_up(view),
        first=guard.http,
        strict_paths=guard.strict_paths,
    )
    return http_filter(http, view)
