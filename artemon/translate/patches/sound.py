"""Whether a patched resource can still be one: what Envoy would refuse and is cheap to see."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from artemon.translate.patches.listeners import chains_of, managers_of

_LAST = frozenset(
    f"envoy.filters.network.{name}"
    for name in (
        *("http_connection_manager", "tcp_proxy", "redis_proxy", "thrift_proxy", "dubbo_proxy", "echo"),
        *("direct_response", "generic_proxy", "rocketmq_proxy"),
    )
)
"""Network filters that end a chain."""
_NEVER_LAST = frozenset(
    f"envoy.filters.network.{name}"
    for name in (
        "rbac",
        "ext_authz",
        "ratelimit",
        "local_ratelimit",
        "mongo_proxy",
        "sni_cluster",
        "set_filter_state",
    )
)


def cluster_flaw(cluster: Cluster) -> str | None:
    """What is wrong with a cluster."""
    if cluster.WhichOneof("cluster_discovery_type") == "type":
        if cluster.type == Cluster.EDS and not cluster.HasField("eds_cluster_config"):
            return "a cluster of type EDS needs eds_cluster_config"
        if cluster.type != Cluster.EDS and cluster.HasField("eds_cluster_config"):
            return "eds_cluster_config is for clusters of type EDS"
        if cluster.type == Cluster.EDS and cluster.HasField("load_assignment"):
            return "a cluster of type EDS has no load_assignment"
    return None


def listener_flaw(listener: Listener) -> str | None:
    """What is wrong with a listener."""
    return next(_listener_flaws(listener), None)


def _listener_flaws(listener: Listener) -> Iterator[str]:
    chains = list(chains_of(listener))
    if not chains and not listener.HasField("udp_listener_config"):
        yield "the listener would be left without a filter chain"
    seen: set[bytes] = set()
    for chain in listener.filter_chains:
        condition = chain.filter_chain_match.SerializeToString(deterministic=True)
        if condition in seen and not listener.HasField("filter_chain_matcher"):
            yield "two filter chains would take the same connections"
        seen.add(condition)
    for chain in chains:
        yield from _chain_flaws(chain)


def _chain_flaws(chain: FilterChain) -> Iterator[str]:
    names = [one.name for one in chain.filters]
    if not names:
        yield "a filter chain would be left without filters"
        return
    if any(name in _LAST for name in names[:-1]):
        yield f"a network filter would come after one that ends the chain ({', '.join(names)})"
    if names[-1] in _NEVER_LAST:
        yield f"the last network filter, {names[-1]}, does not end the chain"
    for _, manager in managers_of(chain):
        yield from _manager_flaws(manager)


def _manager_flaws(manager: HttpConnectionManager) -> Iterator[str]:
    filters = list(manager.http_filters)
    routers = [index for index, one in enumerate(filters) if one.typed_config.Is(Router.DESCRIPTOR)]
    last = len(filters) - 1
    if any(index != last for index in routers):
        yield "an HTTP filter would come after the router; insert it before envoy.filters.http.router"
    elif not routers and not (filters and filters[-1].HasField("config_discovery")):
        yield "the HTTP filters would be left without a router at their end"
    if manager.HasField("route_config"):
        flaw = routes_flaw(manager.route_config)
        if flaw is not None:
            yield flaw


def routes_flaw(config: RouteConfiguration) -> str | None:
    """What is wrong with a route configuration."""
    return next(_routes_flaws(config), None)


def _routes_flaws(config: RouteConfiguration) -> Iterator[str]:
    names: set[str] = set()
    domains: set[str] = set()
    for host in config.virtual_hosts:
        if not host.name or not host.domains:
            yield "a virtual host would have no name or no domains"
        if host.name in names:
            yield f'two virtual hosts would be called "{host.name}"'
        names.add(host.name)
        for domain in host.domains:
            if domain.lower() in domains:
                yield f'the domain "{domain}" would be in two virtual hosts'
            domains.add(domain.lower())
        for route in host.routes:
            if route.match.WhichOneof("path_specifier") is None:
                yield f'route "{route.name}" of "{host.name}" would match no path'
            if route.WhichOneof("action") is None:
                yield f'route "{route.name}" of "{host.name}" would do nothing'
