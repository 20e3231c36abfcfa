"""Whether a patch is about a piece of configuration: each field that is written must fit (Istio)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from artemon.model.filter_names import NOW_CALLED
from artemon.model.proxy import ProxyType
from artemon.translate import names
from artemon.translate.patches.read import Patch

INBOUND, OUTBOUND, GATEWAY = "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"


@dataclass(frozen=True, slots=True)
class Setting:
    """What of the proxy decides matches. service_ports: listening port -> ports of the service, for routers
    that listen elsewhere than where they are reached."""

    type: ProxyType
    intercepts: bool = True
    service_ports: tuple[tuple[int, tuple[int, ...]], ...] = field(default=())

    def ports_of(self, listening: int) -> Sequence[int]:
        """The ports that clients mean when they reach `listening`."""
        return dict(self.service_ports).get(listening) or (listening,)

    @property
    def adds_in(self) -> str:
        """The context in which something is added that names none."""
        return GATEWAY if self.type is ProxyType.ROUTER else OUTBOUND

    def has(self, context: str) -> bool:
        """Whether proxies like this have configuration in a context."""
        return (context == GATEWAY) is (self.type is ProxyType.ROUTER) and context != "WAYPOINT"

    def of_listener(self, listener: Listener) -> str:
        """The context of a listener."""
        if self.type is ProxyType.ROUTER:
            return GATEWAY
        return INBOUND if listener.traffic_direction == TrafficDirection.INBOUND else OUTBOUND

    def of_name(self, name: str) -> str:
        """The context of a cluster or route configuration."""
        if self.type is ProxyType.ROUTER:
            return GATEWAY
        inbound = name.startswith("inbound|") or name == names.INBOUND_PASSTHROUGH
        return INBOUND if inbound else OUTBOUND


def same_filter(wanted: str, name: str) -> bool:
    """Whether two names are of one filter; old names count."""
    return NOW_CALLED.get(wanted, wanted) == NOW_CALLED.get(name, name)


def in_context(patch: Patch, context: str) -> bool:
    """Whether the patch is about this direction of traffic."""
    return patch.match.context in ("ANY", context)


_VIRTUAL = {INBOUND: names.VIRTUAL_INBOUND, OUTBOUND: names.VIRTUAL_OUTBOUND}


def listener_matches(patch: Patch, listener: Listener, setting: Setting) -> bool:
    """Whether it is about this listener. The virtual listeners hold the chains of many ports, so there the
    port is a matter of chains. Without interception every listener is what the virtual one would hold."""
    context = setting.of_listener(listener)
    if not in_context(patch, context):
        return False
    match = patch.match.listener
    if match is None:
        return True
    stands_for = "" if setting.intercepts else _VIRTUAL.get(context, "")
    if match.port_name or (match.name and match.name not in (listener.name, stands_for)):
        return False
    if patch.apply_to != "LISTENER" and listener.name in _VIRTUAL.values():
        return True
    return match.port_number in (0, listener.address.socket_address.port_value)


def chain_matches(patch: Patch, listener: Listener, chain: FilterChain) -> bool:
    """Whether it is about this chain of a listener that matches."""
    match, having = patch.match.listener, chain.filter_chain_match
    if match is None:
        return True
    virtual = listener.name in _VIRTUAL.values()
    port = having.destination_port.value if virtual else listener.address.socket_address.port_value
    if virtual and match.port_number not in (0, port):
        return False
    wanted = match.filter_chain
    if wanted is None:
        return True
    return (
        wanted.name in ("", chain.name)
        and (not wanted.sni or wanted.sni in having.server_names)
        and wanted.transport_protocol in ("", having.transport_protocol)
        and wanted.destination_port in (0, having.destination_port.value or (0 if virtual else port))
        and all(one in having.application_protocols for one in _listed(wanted.application_protocols))
    )


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def picks_network_filter(patch: Patch) -> bool:
    """Whether it says which network filter it is about."""
    match = patch.match.listener
    return bool(match and match.filter_chain and match.filter_chain.filter)


def network_filter_matches(patch: Patch, one: Filter) -> bool:
    """Whether it is about this network filter of a chain that matches."""
    match = patch.match.listener
    if not (match and match.filter_chain and match.filter_chain.filter):
        return True
    return same_filter(match.filter_chain.filter.name, one.name)


def picks_http_filter(patch: Patch) -> bool:
    """Whether it says which HTTP filter it is about."""
    match = patch.match.listener
    named = match.filter_chain.filter if match and match.filter_chain else None
    return bool(named and named.sub_filter)


def http_filter_matches(patch: Patch, one: HttpFilter) -> bool:
    """Whether it is about this HTTP filter of a connection manager that matches."""
    match = patch.match.listener
    named = match.filter_chain.filter if match and match.filter_chain else None
    if named is None or named.sub_filter is None:
        return True
    return same_filter(named.sub_filter.name, one.name)


def picks_listener_filter(patch: Patch) -> bool:
    """Whether it says which listener filter it is about."""
    return bool(patch.match.listener and patch.match.listener.listener_filter)


def listener_filter_matches(patch: Patch, one: ListenerFilter) -> bool:
    """Whether it is about this listener filter."""
    match = patch.match.listener
    return not (match and match.listener_filter) or same_filter(match.listener_filter, one.name)


def routes_match(patch: Patch, config: RouteConfiguration, setting: Setting) -> bool:
    """Whether it is about this route configuration. Port name and Gateway tell those of routers apart."""
    if not in_context(patch, setting.of_name(config.name)):
        return False
    match = patch.match.route_configuration
    if match is None:
        return True
    found = names.route_parts(config.name)
    if match.name not in ("", config.name):
        return False
    if match.port_number and match.port_number not in setting.ports_of(found.port):
        return False
    if setting.type is not ProxyType.ROUTER:
        return True
    return match.port_name in ("", found.port_name) and match.gateway in ("", found.gateway)


def virtual_host_matches(patch: Patch, host: VirtualHost) -> bool:
    """Whether it is about this virtual host of a route configuration that matches."""
    match = patch.match.route_configuration
    wanted = match.vhost if match else None
    if wanted is None:
        return True
    return wanted.name in ("", host.name) and (not wanted.domain_name or wanted.domain_name in host.domains)


_ACTIONS = {"ROUTE": "route", "REDIRECT": "redirect", "DIRECT_RESPONSE": "direct_response"}


def picks_route(patch: Patch) -> bool:
    """Whether it says which route it is about."""
    match = patch.match.route_configuration
    return bool(match and match.vhost and match.vhost.route)


def route_matches(patch: Patch, route: Route) -> bool:
    """Whether it is about this route of a virtual host that matches."""
    match = patch.match.route_configuration
    wanted = match.vhost.route if match and match.vhost else None
    if wanted is None:
        return True
    if wanted.action != "ANY" and _ACTIONS[wanted.action] != route.WhichOneof("action"):
        return False
    return wanted.name in ("", route.name)


def cluster_matches(patch: Patch, cluster: Cluster, setting: Setting) -> bool:
    """Whether it is about this cluster; a name decides alone. Inbound clusters are known by the services
    behind them."""
    if not in_context(patch, setting.of_name(cluster.name)):
        return False
    match = patch.match.cluster
    if match is None:
        return True
    if match.name:
        return bool(match.name == cluster.name)
    port, subset, host = names.cluster_parts(cluster.name)
    hosts = {host} if host else _services(cluster)
    return (
        match.subset in ("", subset)
        and (not match.service or match.service in hosts)
        and match.port_number in (0, port)
    )


def _services(cluster: Cluster) -> set[str]:
    described = cluster.metadata.filter_metadata.get("istio")
    services = described.fields.get("services") if described is not None else None
    listed = services.list_value.values if services is not None else ()
    hosts = (one.struct_value.fields.get("host") for one in listed)
    return {one.string_value for one in hosts if one is not None}
