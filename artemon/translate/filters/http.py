"""HTTP filters of every connection manager, in Istio's order as far as a stock Envoy has them."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.route.v3.route_components_pb2 import FilterConfig as RouteFilter
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.extensions.filters.common.set_filter_state.v3.value_pb2 import FilterStateValue
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_stats.v3.config_pb2 import FilterConfig
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.http.set_filter_state.v3.set_filter_state_pb2 import Config as StateConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message

from artemon.translate.wire import packed

SAYS_HTTP = "envoy.filters.http.set_filter_state"
MESH_HTTP = "istio-http/1.1,istio"
"""The protocols that tell a sidecar's sniffed port that requests come over a TLS connection."""


def http_filters(
    *,
    grpc_web: bool = False,
    messages: HttpFilter | None = None,
    outbound: bool = True,
    first: Iterable[HttpFilter] = (),
    before_router: Iterable[HttpFilter] = (),
) -> list[HttpFilter]:
    """`first`, then grpc_web where browsers speak gRPC; the router always last. messages: what reads the
    numbers of grpc_stats. outbound: whether requests leave for other proxies."""
    return [
        *first,
        *([_filter("envoy.filters.http.grpc_web", GrpcWeb())] if grpc_web else []),
        *([messages] if messages is not None else []),
        _filter("envoy.filters.http.grpc_stats", FilterConfig(emit_filter_state=True)),
        *([_says_http()] if outbound else []),
        _filter("envoy.filters.http.fault", HTTPFault()),
        _filter("envoy.filters.http.cors", Cors()),
        *before_router,
        _filter("envoy.filters.http.router", Router()),
    ]


def _says_http() -> HttpFilter:
    """What `istio.alpn` does in Istio's Envoy, off but where a route turns it on."""
    value = FilterStateValue(object_key="envoy.network.application_protocols")
    value.format_string.text_format_source.inline_string = MESH_HTTP
    out = _filter(SAYS_HTTP, StateConfig(on_request_headers=[value]))
    out.disabled = True
    return out


def says_http(route: Route) -> None:
    """Let a route tell the other side that it forwards requests, not bytes."""
    route.typed_per_filter_config[SAYS_HTTP].CopyFrom(packed(RouteFilter(config=Packed())))


def _filter(name: str, config: Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=packed(config))
