"""Route configurations of gateways: the hosts of their servers and the VirtualServices bound to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from envoy.config.route.v3.route_components_pb2 import Route, RouteMatch, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.snapshot.gateway_conflicts import Opening
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.default_endpoints import default_endpoint
from artemon.translate.gateways import (
    GatewayPort,
    GatewayServer,
    common_hosts,
    gateway_ports,
    http_route_name,
)
from artemon.translate.routes.action import action_within
from artemon.translate.routes.http import http_routes
from artemon.translate.routes.match import is_catch_all
from artemon.translate.routes.rules import speaks_for
from artemon.translate.routes.scope import Client, Targets
from artemon.translate.wire import ZERO


def gateway_routes(view: ProxyView, targets: Targets) -> Mapping[str, RouteConfiguration]:
    """Every route configuration of a router, by name."""
    out: dict[str, RouteConfiguration] = {}
    for port in gateway_ports(view):
        by_name: dict[str, list[GatewayServer]] = {}
        for server in port.servers:
            if takes_requests(server):
                by_name.setdefault(http_route_name(port, server), []).append(server)
        for name, servers in by_name.items():
            out[name] = _configuration(view, port, servers, name=name, targets=targets)
    return out


def takes_requests(server: GatewayServer) -> bool:
    """Whether requests are looked at: plain HTTP, or HTTPS that ends here."""
    if server.opening is Opening.TLS:
        return server.protocol.value == "HTTPS" and not server.passes_through
    return server.opening is Opening.HTTP


def _configuration(
    view: ProxyView, port: GatewayPort, servers: list[GatewayServer], *, name: str, targets: Targets
) -> RouteConfiguration:
    out = RouteConfiguration(name=name, ignore_port_in_host_matching=True)
    out.validate_clusters.value = False
    hosts: dict[str, VirtualHost] = {}
    for server in servers:
        for found in _virtual_hosts(view, server, targets):
            _merge(hosts.setdefault(found.domains[0], VirtualHost(name=found.name)), found)
    for server in servers:
        _by_default(hosts, server)
    for server in servers:
        if server.redirects:
            _redirect(hosts, server)
    out.virtual_hosts.extend(hosts.values())
    if not hosts:
        out.virtual_hosts.add(name=names.gateway_blackhole(port.port), domains=["*"])
    return out


def _virtual_hosts(view: ProxyView, server: GatewayServer, targets: Targets) -> Iterator[VirtualHost]:
    for rule in view.virtual_services:
        if not rule.spec.http or not speaks_for(rule, server.ref):
            continue
        hosts = common_hosts(rule.spec.hosts, server.hosts(rule.meta.namespace))
        client = Client(
            port=server.number,
            namespace=view.proxy.namespace,
            labels=view.proxy.labels,
            gateway=server.ref,
            tls=server.opening is Opening.TLS,
        )
        routes = http_routes(rule, client, targets) if hosts else []
        for host in hosts if routes else ():
            yield VirtualHost(
                name=names.virtual_host(host, server.number),
                domains=[host],
                routes=routes,
                include_request_attempt_count=True,
            )


def _merge(into: VirtualHost, found: VirtualHost) -> None:
    """Routes of a newer rule for the same host come after those of the older, unless none can."""
    into.domains[:] = found.domains
    into.include_request_attempt_count = True
    if not (into.routes and is_catch_all(into.routes[-1].match)):
        into.routes.extend(found.routes)


def _by_default(hosts: dict[str, VirtualHost], server: GatewayServer) -> None:
    """Requests for the server's hosts that no rule claims go to its default endpoint."""
    endpoint = default_endpoint(server.server)
    if endpoint is None:
        return
    action = action_within(ZERO)
    action.cluster = endpoint.cluster
    rest = Route(name=names.DEFAULT_ROUTE, match=RouteMatch(prefix="/"), route=action)
    patterns = server.hosts()
    for host in (*common_hosts(hosts, patterns), *(one for one in patterns if one not in hosts)):
        found = VirtualHost(name=names.virtual_host(host, server.number), domains=[host], routes=[rest])
        _merge(hosts.setdefault(host, VirtualHost(name=found.name)), found)


def _redirect(hosts: dict[str, VirtualHost], server: GatewayServer) -> None:
    """Requests for the server's hosts must come by https."""
    patterns = server.hosts()
    for host in common_hosts(hosts, patterns):
        if host in hosts:
            hosts[host].require_tls = VirtualHost.ALL
    for pattern in patterns:
        if pattern not in hosts:
            name = names.virtual_host(pattern, server.number)
            hosts[pattern] = VirtualHost(name=name, domains=[pattern], require_tls=VirtualHost.ALL)
