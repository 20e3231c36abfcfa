"""Every operation on everything that patches apply to: what there is before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from patched_mesh import LUA, ROUTER, SIDECAR, WEB, WEB_80, Made, envoy_filter, made, patch

Lens = Callable[[Made], Any]
ROUTER_FILTER = "envoy.filters.http.router"
MANAGER = "envoy.filters.network.http_connection_manager"
OUT = {"context": "SIDECAR_OUTBOUND"}
HTTP_80 = OUT | {"listener": {"portNumber": 80, "filterChain": {"filter": {"name": MANAGER}}}}
TCP_83 = OUT | {"listener": {"name": "10.1.1.1_83"}}
INSPECTOR, DST, PROXY = (
    f"envoy.filters.listener.{name}" for name in ("http_inspector", "original_dst", "proxy_protocol")
)
SCRIPT = {"name": "lua", "typed_config": {"@type": LUA}}
ECHO = {
    "name": "envoy.filters.network.echo",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"},
}
LIMIT = {
    "name": "limit",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
        "stat_prefix": "limit",
        "max_connections": 7,
    },
}
PROXY_PROTOCOL = {
    "name": PROXY,
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
    },
}
CHAIN = {"name": "mine", "filter_chain_match": {"source_ports": [9]}, "filters": [ECHO]}
TCP_CONFIG = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
FAULT_CONFIG = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
BLOCK = {"name": "mine", "match": {"prefix": "/mine"}, "direct_response": {"status": 418}}
HOST = {"name": "mine", "domains": ["mine.example.com"], "routes": [BLOCK]}
CLUSTER = {"name": "mine", "type": "STATIC", "connect_timeout": "1s"}
LISTENER = {
    "name": "mine",
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 9999}},
    "filter_chains": [{"filters": [ECHO]}],
}
EXTENSION = {"name": "mine", "typed_config": {"@type": LUA}}


def sub(name: str) -> dict[str, Any]:
    """HTTP filters called `name` on port 80."""
    chain = {"filter": {"name": MANAGER, "subFilter": {"name": name}}}
    return OUT | {"listener": {"portNumber": 80, "filterChain": chain}}


def network(name: str) -> dict[str, Any]:
    return OUT | {"listener": {"name": "10.1.1.1_83", "filterChain": {"filter": {"name": name}}}}


def inspected(name: str) -> dict[str, Any]:
    return {"context": "SIDECAR_INBOUND", "listener": {"name": "virtualInbound", "listenerFilter": name}}


def vhost(name: str = f"{WEB}:80", route: str = "") -> dict[str, Any]:
    chosen: dict[str, Any] = {"name": name} | ({"route": {"name": route}} if route else {})
    return OUT | {"routeConfiguration": {"name": "80", "vhost": chosen}}


def of(key: str) -> dict[str, Any]:
    return OUT | {"cluster": {"name": key}}


def http(m: Made) -> list[str]:
    return [name.rpartition(".")[2] for name in m.http_filters("0.0.0.0_80")]


def tcp(m: Made) -> list[str]:
    return [one["name"].rpartition(".")[2] for one in m.chains("10.1.1.1_83")[0]["filters"]]


def inspectors(m: Made) -> list[str]:
    return [one["name"].rpartition(".")[2] for one in m.listeners["virtualInbound"]["listenerFilters"]]


def routes(m: Made) -> list[str]:
    return [one["name"] for one in m.virtual_hosts("80")[f"{WEB}:80"]["routes"]]


def hosts(m: Made) -> list[str]:
    return list(m.virtual_hosts("80"))


def domains(m: Made) -> list[str]:
    return list(m.virtual_hosts("80")["shop.example.com:80"]["domains"])


def chains(m: Made) -> list[str]:
    return [one.get("name", "") for one in m.chains("virtualOutbound")]


def there(kind: str, name: str) -> Lens:
    return lambda m: name in getattr(m, kind)


HTTP = ["grpc_stats", "set_filter_state", "fault", "cors", "router"]
INSPECTORS = ["original_dst", "tls_inspector", "http_inspector"]
LOOP, REST = "virtualOutbound-blackhole", "virtualOutbound-catchall-tcp"
BOTH = [f"{WEB}:80", "shop.example.com:80", "allow_any"]

CASES: list[tuple[str, str, Any, Mapping[str, Any], Lens, Any, Any]] = [
    ("HTTP_FILTER", "INSERT_FIRST", SCRIPT, HTTP_80, http, HTTP, ["lua", *HTTP]),
    ("HTTP_FILTER", "INSERT_FIRST", SCRIPT, sub("none"), http, HTTP, ["lua", *HTTP]),
    ("HTTP_FILTER", "INSERT_BEFORE", SCRIPT, sub(ROUTER_FILTER), http, HTTP, [*HTTP[:-1], "lua", "router"]),
    ("HTTP_FILTER", "INSERT_BEFORE", SCRIPT, HTTP_80, http, HTTP, ["lua", *HTTP]),
    ("HTTP_FILTER", "INSERT_BEFORE", SCRIPT, sub("none"), http, HTTP, HTTP),
    ("HTTP_FILTER", "INSERT_AFTER", SCRIPT, sub("envoy.fault"), http, HTTP, [*HTTP[:3], "lua", *HTTP[3:]]),
    ("HTTP_FILTER", "REPLACE", SCRIPT, sub("envoy.filters.http.cors"), http, HTTP,
     [*HTTP[:3], "lua", "router"]),
    ("HTTP_FILTER", "REPLACE", SCRIPT, HTTP_80, http, HTTP, HTTP),
    ("HTTP_FILTER", "REMOVE", None, sub("envoy.filters.http.cors"), http, HTTP, [*HTTP[:3], "router"]),
    ("HTTP_FILTER", "REMOVE", None, HTTP_80, http, HTTP, HTTP),
    ("HTTP_FILTER", "MERGE", {"typed_config": {"@type": FAULT_CONFIG, "max_active_faults": 3}},
     sub("envoy.filters.http.fault"),
     lambda m: m.manager("0.0.0.0_80")["httpFilters"][2]["typedConfig"].get("maxActiveFaults"), None, 3),
    ("NETWORK_FILTER", "INSERT_FIRST", LIMIT, TCP_83, tcp, ["tcp_proxy"], ["limit", "tcp_proxy"]),
    ("NETWORK_FILTER", "INSERT_BEFORE", LIMIT, network("envoy.tcp_proxy"), tcp, ["tcp_proxy"],
     ["limit", "tcp_proxy"]),
    ("NETWORK_FILTER", "REPLACE", ECHO, network("envoy.tcp_proxy"), tcp, ["tcp_proxy"], ["echo"]),
    ("NETWORK_FILTER", "MERGE", {"typed_config": {"@type": TCP_CONFIG, "idle_timeout": "5s"}},
     network("envoy.filters.network.tcp_proxy"),
     lambda m: m.chains("10.1.1.1_83")[0]["filters"][0]["typedConfig"].get("idleTimeout"), None, "5s"),
    ("LISTENER_FILTER", "ADD", PROXY_PROTOCOL, inspected(""), inspectors, INSPECTORS,
     [*INSPECTORS, "proxy_protocol"]),
    ("LISTENER_FILTER", "INSERT_FIRST", PROXY_PROTOCOL, inspected(""), inspectors, INSPECTORS,
     ["proxy_protocol", *INSPECTORS]),
    ("LISTENER_FILTER", "INSERT_BEFORE", PROXY_PROTOCOL, inspected(INSPECTOR), inspectors, INSPECTORS,
     [*INSPECTORS[:2], "proxy_protocol", "http_inspector"]),
    ("LISTENER_FILTER", "INSERT_AFTER", PROXY_PROTOCOL, inspected(DST), inspectors, INSPECTORS,
     ["original_dst", "proxy_protocol", *INSPECTORS[1:]]),
    ("LISTENER_FILTER", "REPLACE", PROXY_PROTOCOL, inspected(INSPECTOR), inspectors, INSPECTORS,
     [*INSPECTORS[:2], "proxy_protocol"]),
    ("LISTENER_FILTER", "REMOVE", None, inspected(INSPECTOR), inspectors, INSPECTORS, INSPECTORS[:2]),
    ("LISTENER_FILTER", "REMOVE", None, inspected(""), inspectors, INSPECTORS, INSPECTORS),
    ("FILTER_CHAIN", "ADD", CHAIN, OUT | {"listener": {"name": "virtualOutbound"}}, chains, [LOOP, REST],
     [LOOP, REST, "mine"]),
    ("FILTER_CHAIN", "INSERT_FIRST", CHAIN, OUT | {"listener": {"name": "virtualOutbound"}}, chains,
     [LOOP, REST], [LOOP, REST, "mine"]),
    ("FILTER_CHAIN", "REMOVE", None,
     OUT | {"listener": {"name": "virtualOutbound", "filterChain": {"name": LOOP}}}, chains, [LOOP, REST],
     [REST]),
    ("FILTER_CHAIN", "MERGE", {"name": "renamed"},
     OUT | {"listener": {"name": "virtualOutbound", "filterChain": {"destinationPort": 15001}}}, chains,
     [LOOP, REST], ["renamed", REST]),
    ("LISTENER", "MERGE", {"per_connection_buffer_limit_bytes": 4096},
     OUT | {"listener": {"portNumber": 80}},
     lambda m: m.listeners["0.0.0.0_80"].get("perConnectionBufferLimitBytes"), None, 4096),
    ("LISTENER", "REMOVE", None, OUT | {"listener": {"name": "0.0.0.0_80"}},
     there("listeners", "0.0.0.0_80"), True, False),
    ("LISTENER", "ADD", LISTENER, OUT, there("listeners", "mine"), False, True),
    ("LISTENER", "ADD", LISTENER, {"context": "GATEWAY"}, there("listeners", "mine"), False, False),
    ("ROUTE_CONFIGURATION", "MERGE", {"max_direct_response_body_size_bytes": 9},
     OUT | {"routeConfiguration": {"portNumber": 80}},
     lambda m: m.routes["80"].get("maxDirectResponseBodySizeBytes"), None, 9),
    ("ROUTE_CONFIGURATION", "REMOVE", None, OUT, there("routes", "80"), True, True),
    ("VIRTUAL_HOST", "ADD", HOST, OUT, hosts, BOTH, [*BOTH, "mine"]),
    ("VIRTUAL_HOST", "REMOVE", None, vhost("shop.example.com:80"), hosts, BOTH, [BOTH[0], BOTH[2]]),
    ("VIRTUAL_HOST", "REPLACE", HOST, vhost("shop.example.com:80"), hosts, BOTH, [BOTH[0], "mine", BOTH[2]]),
    ("VIRTUAL_HOST", "MERGE", {"domains": ["mine.example.com"]}, vhost("shop.example.com:80"), domains,
     ["shop.example.com"], ["shop.example.com", "mine.example.com"]),
    ("VIRTUAL_HOST", "MERGE_AND_REPLACE_LIST", {"domains": ["mine.example.com"]},
     vhost("shop.example.com:80"), domains, ["shop.example.com"], ["mine.example.com"]),
    ("HTTP_ROUTE", "ADD", BLOCK, vhost(), routes, ["first", "gone"], ["first", "gone", "mine"]),
    ("HTTP_ROUTE", "INSERT_FIRST", BLOCK, vhost(), routes, ["first", "gone"], ["mine", "first", "gone"]),
    ("HTTP_ROUTE", "INSERT_FIRST", BLOCK, vhost(route="gone"), routes, ["first", "gone"],
     ["mine", "first", "gone"]),
    ("HTTP_ROUTE", "INSERT_FIRST", BLOCK, vhost(route="none"), routes, ["first", "gone"], ["first", "gone"]),
    ("HTTP_ROUTE", "INSERT_BEFORE", BLOCK, vhost(route="gone"), routes, ["first", "gone"],
     ["first", "mine", "gone"]),
    ("HTTP_ROUTE", "INSERT_AFTER", BLOCK, vhost(route="first"), routes, ["first", "gone"],
     ["first", "mine", "gone"]),
    ("HTTP_ROUTE", "REMOVE", None, vhost(route="gone"), routes, ["first", "gone"], ["first"]),
    ("HTTP_ROUTE", "MERGE", {"route": {"timeout": "3s"}}, vhost(route="first"),
     lambda m: m.virtual_hosts("80")[f"{WEB}:80"]["routes"][0]["route"]["timeout"], "0s", "3s"),
    ("CLUSTER", "ADD", CLUSTER, OUT, there("clusters", "mine"), False, True),
    ("CLUSTER", "INSERT_FIRST", CLUSTER, OUT, there("clusters", "mine"), False, True),
    ("CLUSTER", "REMOVE", None, of(WEB_80), there("clusters", WEB_80), True, False),
    ("CLUSTER", "MERGE", {"connect_timeout": "250ms"}, of(WEB_80),
     lambda m: m.clusters[WEB_80]["connectTimeout"], "10s", "0.250s"),
    ("EXTENSION_CONFIG", "ADD", EXTENSION, {}, there("extensions", "mine"), False, True),
    ("EXTENSION_CONFIG", "REMOVE", None, {}, there("extensions", "mine"), False, False),
]  # fmt: skip


@pytest.mark.covers(
    "EnvoyFilter.configPatches.applyTo",
    "EnvoyFilter.configPatches.match.listener.listenerFilter",
    "EnvoyFilter.configPatches.match.listener.filterChain.filter.subFilter.name",
    "EnvoyFilter.configPatches.patch.operation",
    "EnvoyFilter.configPatches.patch.value",
)
@pytest.mark.parametrize(
    ("apply_to", "operation", "value", "match", "lens", "before", "after"),
    [pytest.param(*case, id=f"{case[0]}-{case[1]}-{number}") for number, case in enumerate(CASES)],
)
def test_operation(
    apply_to: str, operation: str, value: Any, match: Mapping[str, Any], lens: Lens, before: Any, after: Any
) -> None:
    found = made(envoy_filter(patch(apply_to, operation, value, **match)))
    assert (lens(made()), lens(found), found.rejected) == (before, after, ())


def test_a_default_filter_chain_is_one_of_the_chains() -> None:
    chosen = OUT | {"listener": {"name": "0.0.0.0_80", "filterChain": {"name": "PassthroughFilterChain"}}}
    assert "defaultFilterChain" in made().listeners["0.0.0.0_80"]
    found = made(envoy_filter(patch("FILTER_CHAIN", "REMOVE", **chosen)))
    assert "defaultFilterChain" not in found.listeners["0.0.0.0_80"]


def test_routes_that_are_written_in_an_inbound_listener() -> None:
    change = {"route": {"timeout": "3s"}}
    inbound = {"context": "SIDECAR_INBOUND", "routeConfiguration": {"portNumber": 80}}
    found = made(envoy_filter(patch("HTTP_ROUTE", "MERGE", change, **inbound)))
    chains = [n for n, one in enumerate(found.chains("virtualInbound")) if one["name"] == "1.1.1.1_80"]
    actions = [
        found.manager("virtualInbound", n)["routeConfig"]["virtualHosts"][0]["routes"][0]["route"]
        for n in chains
    ]
    assert [one["timeout"] for one in actions] == ["3s", "3s"]
    other = found.manager("virtualInbound", 1)["routeConfig"]["virtualHosts"][0]["routes"][0]["route"]
    assert other["timeout"] == "0s"


@pytest.mark.parametrize(
    ("proxy", "context", "expected"),
    [
        pytest.param(SIDECAR, "ANY", True, id="sidecar-any"),
        pytest.param(ROUTER, "ANY", True, id="router-any"),
        pytest.param(SIDECAR, "SIDECAR_INBOUND", True, id="sidecar-inbound"),
        pytest.param(SIDECAR, "GATEWAY", False, id="sidecar-gateway"),
        pytest.param(ROUTER, "SIDECAR_OUTBOUND", False, id="router-outbound"),
        pytest.param(ROUTER, "WAYPOINT", False, id="router-waypoint"),
    ],
)
def test_additions_are_for_proxies_of_their_context(
    proxy: Mapping[str, Any], context: str, expected: bool
) -> None:
    found = made(envoy_filter(patch("CLUSTER", "ADD", CLUSTER, context=context)), proxy=proxy)
    assert ("mine" in found.clusters) is expected
