"""Real Envoys take what EnvoyFilters made of a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from real_envoy import complaint
from test_envoy_takes_listeners import ROUTER, RULES, SERVICES

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate import translate

pytestmark = pytest.mark.envoy
TYPES = "type.googleapis.com/envoy.extensions"
MANAGER = "envoy.filters.network.http_connection_manager"
BEFORE_ROUTER = {
    "filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}}
}
SIDECAR = {"labels": {"app": "web"}, "metadata": {"ISTIO_VERSION": "1.30.0", "ARTEMON_SERVICE": "web"}}


GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [web], tls: {mode: SIMPLE, credentialName: w}}
  - {port: {number: 443, name: mesh, protocol: HTTPS}, hosts: ["*.mesh"], tls: {mode: ISTIO_MUTUAL}}
"""


def typed(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{TYPES}.{kind}", **fields}}


def one(apply_to: str, operation: str, value: Any = None, **match: Any) -> dict[str, Any]:
    change = {"operation": operation} | ({"value": value} if value is not None else {})
    return {"applyTo": apply_to, "match": match, "patch": change}


LIMIT = typed(
    "envoy.filters.http.local_ratelimit",
    "filters.http.local_ratelimit.v3.LocalRateLimit",
    stat_prefix="limit",
    token_bucket={"max_tokens": 10, "tokens_per_fill": 10, "fill_interval": "60s"},
)
LUA = typed(
    "envoy.filters.http.lua",
    "filters.http.lua.v3.Lua",
    default_source_code={"inline_string": "function envoy_on_request(h) h:headers():add('x', 'y') end"},
)
STATIC = {
    "name": "logs", "type": "STRICT_DNS", "connect_timeout": "500ms",
    "load_assignment": {"cluster_name": "logs", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
        "socket_address": {"address": "logs.example.com", "port_value": 80}}}}]}]},
}  # fmt: skip
MANAGER_OPTIONS = {
    "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "common_http_protocol_options": {
        "idle_timeout": "30s",
        "headers_with_underscores_action": "REJECT_REQUEST",
    },
    "server_name": "mine",
    "merge_slashes": True,
}
TCP = {"@type": f"{TYPES}.filters.network.tcp_proxy.v3.TcpProxy", "idle_timeout": "600s"}
LISTENER = {
    "name": "mine",
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 19999}},
    "filter_chains": [{"filters": [
        typed("envoy.filters.network.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy",
              stat_prefix="x", cluster="BlackHoleCluster")]}],
}  # fmt: skip
CONNECTIONS = typed(
    "envoy.filters.network.connection_limit",
    "filters.network.connection_limit.v3.ConnectionLimit",
    stat_prefix="c",
    max_connections=1000,
)
BLOCK = {"name": "teapot", "match": {"prefix": "/teapot"}, "direct_response": {"status": 418}}
KEEPALIVE = {
    "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 300},
}
BREAKERS = {"thresholds": [{"max_connections": 7, "priority": "HIGH"}]}
TLS_INSPECTOR = typed(
    "envoy.filters.listener.proxy_protocol", "filters.listener.proxy_protocol.v3.ProxyProtocol"
)

PATCHES = [
    one("HTTP_FILTER", "INSERT_BEFORE", LIMIT, context="SIDECAR_INBOUND", listener=BEFORE_ROUTER),
    one("HTTP_FILTER", "INSERT_BEFORE", LUA, listener=BEFORE_ROUTER),
    one("NETWORK_FILTER", "MERGE", {"typed_config": MANAGER_OPTIONS},
        listener={"filterChain": {"filter": {"name": "envoy.http_connection_manager"}}}),
    one("NETWORK_FILTER", "MERGE", {"typed_config": TCP},
        listener={"filterChain": {"filter": {"name": "envoy.filters.network.tcp_proxy"}}}),
    one("NETWORK_FILTER", "INSERT_FIRST", CONNECTIONS),
    one("LISTENER_FILTER", "INSERT_FIRST", TLS_INSPECTOR, context="SIDECAR_INBOUND"),
    one("LISTENER", "MERGE", {"per_connection_buffer_limit_bytes": 32768}),
    one("LISTENER", "ADD", LISTENER),
    one("FILTER_CHAIN", "MERGE", {"transport_socket_connect_timeout": "5s"}, context="GATEWAY"),
    one("ROUTE_CONFIGURATION", "MERGE", {"request_headers_to_remove": ["x-secret"]}),
    one("VIRTUAL_HOST", "MERGE", {"rate_limits": [{"actions": [{"request_headers": {
        "header_name": "x", "descriptor_key": "y"}}]}]}),
    one("VIRTUAL_HOST", "ADD", {"name": "mine", "domains": ["mine.example.com"], "routes": [BLOCK]}),
    one("HTTP_ROUTE", "INSERT_FIRST", BLOCK),
    one("HTTP_ROUTE", "MERGE", {"typed_per_filter_config": {LIMIT["name"]: LIMIT["typed_config"]}},
        routeConfiguration={"vhost": {"route": {"action": "ROUTE"}}}),
    one("CLUSTER", "MERGE", {"upstream_connection_options": KEEPALIVE, "circuit_breakers": BREAKERS}),
    one("CLUSTER", "MERGE_AND_REPLACE_LIST", {"circuit_breakers": BREAKERS}),
    one("CLUSTER", "ADD", STATIC),
    one("HTTP_FILTER", "ADD", LUA),
    one("CLUSTER", "MERGE", {"transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}}),
    one("CLUSTER", "MERGE", {"transport_socket": typed(
        "envoy.transport_sockets.raw_buffer", "transport_sockets.raw_buffer.v3.RawBuffer")}),
]  # fmt: skip
BROKEN = {17, 18, 19}
"""Indexes of patches that are left out."""


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(SIDECAR, id="sidecar"),
        pytest.param(ROUTER, id="router"),
        pytest.param(
            SIDECAR | {"ipAddresses": ["127.0.0.9"], "metadata": {"INTERCEPTION_MODE": "NONE"}}, id="direct"
        ),
    ],
)
def test_a_real_envoy_takes_all_patches_at_once(proxy: dict[str, Any], tmp_path: Path) -> None:
    spec = {"configPatches": PATCHES}
    meta = {"name": "all", "namespace": "istio-system"}
    kind = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter"}
    text = "\n---\n".join([SERVICES, RULES, GATEWAY, json.dumps({**kind, "metadata": meta, "spec": spec})])
    view = snapshot_of(load_yaml(text), MeshConfig()).view(read_proxy(proxy))
    assert {rejected.patch for rejected in translate(view).rejected} <= BROKEN
    assert complaint(view, tmp_path) == ""
