"""What Envoy would do with one call, by walking generated messages; only what our tests need of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from envoy.config.listener.v3.listener_components_pb2 import FilterChain, ListenerFilterChainMatchPredicate
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher

TLS_ALPN = {"http": "http/1.1", "http2": "h2"}
MTLS_ALPN = {"http": "istio-http/1.1", "http2": "istio-h2", "tcp": "istio"}
PLAIN_ALPN = {"http": "http/1.1", "http2": "h2c"}


@dataclass
class Call:
    """The fields of a `--call` file."""

    port: int
    protocol: str = "tcp"
    tls: str = ""
    host: str = ""
    address: str = "10.9.9.9"
    sni: str = ""
    alpn: str = ""
    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    mode: str = "outbound"

    def __post_init__(self) -> None:
        self.tls = self.tls or ("tls" if self.sni else "plaintext")
        if self.tls != "plaintext":
            self.sni = self.sni or self.host
            table = MTLS_ALPN if self.tls == "mtls" else TLS_ALPN
            self.alpn = self.alpn or table.get(self.protocol, "")


class Stopped(Exception):
    """Envoy would close or answer itself; the text is the reason."""


def walk(
    listeners: Mapping[str, Listener], routes: Mapping[str, RouteConfiguration], call: Call
) -> dict[str, Any]:
    """What the call reaches, in the words of `meshctl explain`; `error` where it goes no further."""
    out: dict[str, Any] = {}
    try:
        listener = find_listener(listeners, call)
        out["listener"] = listener.name
        chain = find_chain(listener, call)
        out["filterChain"] = chain.name
        pass_chain(chain, routes, call, out)
    except Stopped as stop:
        out["error"] = str(stop)
    return out


def find_listener(listeners: Mapping[str, Listener], call: Call) -> Listener:
    bound = [one for one in listeners.values() if not one.HasField("bind_to_port")]
    ports = {one.address.socket_address.port_value: one for one in bound}
    if call.port in ports:
        return ports[call.port]
    for name in ("virtualInbound",) if call.mode == "inbound" else (
        f"{call.address}_{call.port}", f"0.0.0.0_{call.port}", "virtualOutbound",
    ):  # fmt: skip
        if name in listeners:
            return listeners[name]
    raise Stopped("no listener matched")


def disabled(predicate: ListenerFilterChainMatchPredicate, port: int) -> bool:
    match predicate.WhichOneof("rule"):
        case "any_match":
            return True
        case "not_match":
            return not disabled(predicate.not_match, port)
        case "or_match":
            return any(disabled(rule, port) for rule in predicate.or_match.rules)
        case "destination_port_range":
            span = predicate.destination_port_range
            return span.start <= port < span.end
    return False


def find_chain(listener: Listener, call: Call) -> FilterChain:
    """Envoy's order: destination port, address, server name, transport, application protocol; each step
    keeps the most specific chains only."""
    inspectors = {
        one.name.rsplit(".", 1)[-1]
        for one in listener.listener_filters
        if not disabled(one.filter_disabled, call.port)
    }
    tls = call.tls != "plaintext" and "tls_inspector" in inspectors
    sni = call.sni.lower() if tls else ""
    alpn = call.alpn if tls else ""
    if call.tls == "plaintext" and "http_inspector" in inspectors:
        alpn = PLAIN_ALPN.get(call.protocol, "")
    steps: list[Callable[[FilterChain], int]] = [
        lambda c: _exactly(c.filter_chain_match.destination_port.value, call.port),
        lambda c: _address(c, call.address),
        lambda c: _server_name(c.filter_chain_match.server_names, sni),
        lambda c: _exactly(c.filter_chain_match.transport_protocol, "tls" if tls else "raw_buffer"),
        lambda c: _one_of(c.filter_chain_match.application_protocols, alpn),
    ]
    left = list(listener.filter_chains)
    for step in steps:
        ranked = [(step(chain), chain) for chain in left]
        best = max((rank for rank, _ in ranked), default=-1)
        left = [chain for rank, chain in ranked if rank == best and rank >= 0]
    if left:
        return left[0]
    if listener.HasField("default_filter_chain"):
        return listener.default_filter_chain
    raise Stopped("no filter chains matched")


def _exactly(wanted: object, actual: object) -> int:
    return 0 if not wanted else (1 if wanted == actual else -1)


def _one_of(wanted: Sequence[str], actual: str) -> int:
    return 0 if not wanted else (1 if actual in wanted else -1)


def _address(chain: FilterChain, address: str) -> int:
    ranges = chain.filter_chain_match.prefix_ranges
    networks = [ip_network(f"{r.address_prefix}/{r.prefix_len.value}") for r in ranges]
    lengths = [n.prefixlen for n in networks if ip_address(address) in n]
    return (max(lengths) + 1 if lengths else -1) if ranges else 0


def _server_name(wanted: Sequence[str], sni: str) -> int:
    if not wanted:
        return 0
    ranks = [
        1000 if w == sni else len(w) for w in wanted if w == sni or (w[0] == "*" and sni.endswith(w[1:]))
    ]
    return max(ranks, default=-1)


def pass_chain(
    chain: FilterChain, routes: Mapping[str, RouteConfiguration], call: Call, out: dict[str, Any]
) -> None:
    encrypted = call.tls != "plaintext"
    if chain.HasField("transport_socket"):
        context = DownstreamTlsContext()
        chain.transport_socket.typed_config.Unpack(context)
        if not encrypted:
            raise Stopped("plaintext for a chain that expects TLS")
        if context.require_client_certificate.value and call.tls != "mtls":
            raise Stopped("invalid mTLS")
        encrypted = False
    packed = chain.filters[-1].typed_config
    proxy, manager = TcpProxy(), HttpConnectionManager()
    if packed.Unpack(proxy):
        out["cluster"] = proxy.cluster or {c.name: c.weight for c in proxy.weighted_clusters.clusters}
        return
    assert packed.Unpack(manager)
    if encrypted or call.protocol == "tcp":
        raise Stopped("protocol error")
    inline = manager.WhichOneof("route_specifier") == "route_config"
    table = manager.route_config if inline else routes.get(manager.rds.route_config_name)
    assert table is not None, f"no route configuration {manager.rds.route_config_name}"
    out["routeConfig"] = table.name
    find_route(table, call, out)


def find_route(table: RouteConfiguration, call: Call, out: dict[str, Any]) -> Route:
    host = find_host(table, call.host)
    out["virtualHost"] = host.name
    for route in host.routes:
        if matches(route, call):
            out["route"] = route.name
            out["cluster"] = target(route)
            return route
    raise Stopped("no route matched")


def find_host(table: RouteConfiguration, authority: str) -> VirtualHost:
    name = authority.lower()
    if table.ignore_port_in_host_matching:
        name = re.sub(r":\d+$", "", name)
    by_domain = {domain: host for host in table.virtual_hosts for domain in host.domains}
    if name in by_domain:
        return by_domain[name]
    wild = [d for d in by_domain if d != "*" and d.startswith("*") and name.endswith(d[1:])]
    if wild or "*" in by_domain:
        return by_domain[max(wild, key=len, default="*")]
    raise Stopped("no virtual host matched")


def target(route: Route) -> Any:
    if route.WhichOneof("action") != "route":
        return None
    if route.route.weighted_clusters.clusters:
        return {c.name: c.weight.value for c in route.route.weighted_clusters.clusters}
    return route.route.cluster


def matches(route: Route, call: Call) -> bool:
    match, (path, _, query) = route.match, call.path.partition("?")
    fold = match.HasField("case_sensitive") and not match.case_sensitive.value
    seen = path.lower() if fold else path
    kind = match.WhichOneof("path_specifier")
    wanted = getattr(match, kind)
    if kind == "safe_regex":
        fits = re.fullmatch(wanted.regex, path) is not None
    else:
        wanted = wanted.lower() if fold else wanted
        fits = seen == wanted if kind == "path" else seen.startswith(wanted)
    headers = {":method": call.method, ":authority": call.host, ":scheme": "http", **call.headers}
    return (
        fits
        and all(_header(h, headers) for h in match.headers)
        and all(_query(q, query.split("&")) for q in match.query_parameters)
    )


def _header(matcher: Any, headers: Mapping[str, str]) -> bool:
    value = headers.get(matcher.name, "" if matcher.treat_missing_header_as_empty else None)
    present = matcher.WhichOneof("header_match_specifier") == "present_match"
    found = value is not None and (present or _text(matcher.string_match, value))
    return found != matcher.invert_match


def _query(matcher: Any, pairs: Iterable[str]) -> bool:
    values = dict(pair.partition("=")[::2] for pair in pairs)
    if matcher.name not in values:
        return False
    return matcher.present_match or _text(matcher.string_match, values[matcher.name])


def _text(matcher: StringMatcher, value: str) -> bool:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return re.fullmatch(matcher.safe_regex.regex, value) is not None
    wanted = getattr(matcher, kind)
    return value == wanted if kind == "exact" else value.startswith(wanted)
