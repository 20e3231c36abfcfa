"""Listeners of routers: one for each address and port of their Gateways' servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from envoy.config.core.v3.base_pb2 import TrafficDirection, TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener

from artemon.model.hosts import covers
from artemon.model.service import Protocol
from artemon.snapshot.gateway_conflicts import Opening
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.default_endpoints import default_endpoint
from artemon.translate.dynamic_dns import looks_up
from artemon.translate.filters.inspect import tls_inspector
from artemon.translate.filters.manager import NAME as MANAGER
from artemon.translate.filters.manager import Http, http_filter
from artemon.translate.filters.tcp import tcp_filter
from artemon.translate.gateways import (
    GatewayPort,
    GatewayServer,
    common_hosts,
    gateway_ports,
    http_route_name,
)
from artemon.translate.guard import Guard, guard_of
from artemon.translate.leniency import networks
from artemon.translate.listeners.base import listener
from artemon.translate.listeners.chains import MESH_ALL
from artemon.translate.listeners.tcp import cidr, passing_on
from artemon.translate.listeners.tls import gateway_socket, mesh_socket
from artemon.translate.listeners.way_out import way_out
from artemon.translate.routes.gateway import takes_requests
from artemon.translate.routes.l4 import Connections, tcp_connections, tls_connections
from artemon.translate.routes.rules import speaks_for
from artemon.translate.routes.scope import Client, Targets, targets_of
from artemon.translate.targets import targets as clusters_of
from artemon.translate.telemetry.side import Side


def gateway_listeners(view: ProxyView) -> Iterator[Listener]:
    """Every listener of a router; ports that nothing can be routed from are left out."""
    targets, guard = targets_of(view), guard_of(view)
    for port in gateway_ports(view):
        out = listener(port.address, port.port, TrafficDirection.OUTBOUND, view.mesh)
        if view.proxy.gateway_bind and not port.bind:
            out.address.socket_address.address = view.proxy.gateway_bind
        out.filter_chains.extend(_guarded(chain, guard) for chain in _chains(view, port, targets, guard))
        if port.opening is Opening.TLS:
            out.listener_filters.append(tls_inspector())
        if out.filter_chains:
            yield out


def _guarded(chain: FilterChain, guard: Guard) -> FilterChain:
    """The chain; where it passes bytes on, with what decides about connections before it."""
    if guard.network and chain.filters[-1].name != MANAGER:
        onward = list(chain.filters)
        del chain.filters[:]
        chain.filters.extend((*guard.network, *onward))
    return chain


def _chains(view: ProxyView, port: GatewayPort, targets: Targets, guard: Guard) -> Iterator[FilterChain]:
    if port.opening is Opening.HTTP:
        yield FilterChain(filters=[_http(view, port, port.servers[0], guard)])
    elif port.opening is Opening.TCP:
        yield from _tcp_chains(view, port, targets)
    else:
        yield from _tls_chains(view, port, targets, guard)


def _tcp_chains(view: ProxyView, port: GatewayPort, targets: Targets) -> Iterator[FilterChain]:
    """One chain for each source that a rule asks for, up to the first for whoever comes."""
    taken: set[str] = set()
    for connections in (c for server in port.servers for c in _connections(view, server, targets)):
        sources = networks(filter(None, (connections.source,)))
        if connections.source in taken or sources is None:
            continue
        taken.add(connections.source)
        chain = FilterChain(filters=passing_on(connections, view))
        chain.filter_chain_match.source_prefix_ranges.extend(map(cidr, sources))
        yield chain


def _tls_chains(view: ProxyView, port: GatewayPort, targets: Targets, guard: Guard) -> Iterator[FilterChain]:
    """One chain for the server names of each server or rule; the oldest keeps a name that two ask for."""
    taken: set[str] = set()
    for server in port.servers:
        for chain in _server_chains(view, port, server, targets=targets, guard=guard):
            wanted = list(chain.filter_chain_match.server_names) or ["*"]
            free = [name for name in wanted if name not in taken]
            taken.update(free)
            if free:
                chain.filter_chain_match.server_names[:] = [name for name in free if name != "*"]
                yield chain


def _server_chains(
    view: ProxyView, port: GatewayPort, server: GatewayServer, *, targets: Targets, guard: Guard
) -> Iterator[FilterChain]:
    yield from way_out(view, port, server, guard)
    if takes_requests(server):
        chain = FilterChain(filters=[_http(view, port, server, guard)])
        _secure(view, server, chain, server.hosts())
        yield chain
        return
    if server.goes_by_cluster:
        yield from _by_cluster(view, server)
    for connections in _connections(view, server, targets):
        chain = FilterChain(filters=passing_on(connections, view))
        _secure(view, server, chain, list(connections.sni) or server.hosts())
        yield chain


def _by_cluster(view: ProxyView, server: GatewayServer) -> Iterator[FilterChain]:
    """One chain for each cluster of the services that the server is for, by its name. Only mutual TLS of the
    mesh gets in, and only instances where it ends are behind (`Target.unopened`): nobody comes without."""
    patterns = server.hosts()
    for service in view.services.values():
        wild = service.host.startswith("*")  # which Envoy takes for no part of a server name
        if wild or not any(covers(pattern, service.host) for pattern in patterns):
            continue
        for target in clusters_of(service, view.destinations.get(service.host), view.mesh, unopened=True):
            if target.unopened:
                chain = FilterChain(filters=[tcp_filter(target.name, view)])
                _secure(view, server, chain, [target.name])
                chain.filter_chain_match.application_protocols.extend(MESH_ALL)
                yield chain


def _secure(view: ProxyView, server: GatewayServer, chain: FilterChain, hosts: list[str]) -> None:
    chain.filter_chain_match.server_names.extend(dict.fromkeys(hosts))
    if not server.passes_through:
        chain.transport_socket.CopyFrom(_socket(view, server))
    else:
        chain.filter_chain_match.transport_protocol = "tls"


def _socket(view: ProxyView, server: GatewayServer) -> TransportSocket:
    settings = server.server.tls
    assert settings is not None
    http = server.protocol is Protocol.HTTPS
    if settings.mode == "ISTIO_MUTUAL":
        return mesh_socket(view.mesh, view.trust_domain, http=http)
    return gateway_socket(settings, http=http)


def _connections(view: ProxyView, server: GatewayServer, targets: Targets) -> Iterator[Connections]:
    """What rules bound to the server's Gateway say about bytes, then where all others go, if anywhere."""
    if server.goes_by_cluster:
        return
    yield from _by_rules(view, server, targets)
    endpoint = default_endpoint(server.server)
    if endpoint is not None:
        yield Connections(((endpoint.cluster, 1),))


def _by_rules(view: ProxyView, server: GatewayServer, targets: Targets) -> Iterator[Connections]:
    """Connections by rules: by server name where TLS passes through."""
    client = Client(
        port=server.number, namespace=view.proxy.namespace, labels=view.proxy.labels, gateway=server.ref
    )
    for rule in view.virtual_services:
        admitted = server.hosts(rule.meta.namespace)
        if not speaks_for(rule, server.ref) or not common_hosts(rule.spec.hosts, admitted):
            continue
        if server.opening is Opening.TCP or not server.passes_through:
            yield from tcp_connections(rule, client, targets)
            continue
        for connections in tls_connections(rule, client, targets):
            sni = tuple(common_hosts(connections.sni, admitted))
            if sni:
                yield replace(connections, sni=sni)


def _http(view: ProxyView, port: GatewayPort, server: GatewayServer, guard: Guard) -> Filter:
    http = Http(
        side=Side.GATEWAY,
        stat_prefix=f"outbound_{names.listener(port.address, port.port)};",
        route=http_route_name(port, server),
        grpc_web=server.protocol is Protocol.GRPC_WEB,
        grpc=True,
        first=guard.http,
        strict_paths=guard.strict_paths,
        looks_up=looks_up(view),
    )
    return http_filter(http, view)
