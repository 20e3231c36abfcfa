"""HTTP filters of every connection manager, in Istio's order as far as a stock Envoy has them."""

from __future__ import annotations

from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_stats.v3.config_pb2 import FilterConfig
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from google.protobuf.message import Message

from artemon.translate.wire import packed


def http_filters(*, grpc_web: bool = False) -> list[HttpFilter]:
    """grpc_web first where browsers speak gRPC; the router always last."""
    filters = [_filter("envoy.filters.http.grpc_web", GrpcWeb())] if grpc_web else []
    return [
        *filters,
        _filter("envoy.filters.http.grpc_stats", FilterConfig(emit_filter_state=True)),
        _filter("envoy.filters.http.fault", HTTPFault()),
        _filter("envoy.filters.http.cors", Cors()),
        _filter("envoy.filters.http.router", Router()),
    ]


def _filter(name: str, config: Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=packed(config))
