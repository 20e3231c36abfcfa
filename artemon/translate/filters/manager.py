"""The HTTP connection manager of a filter chain: how bytes become requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    Rds,
)

from artemon.model.mesh_config import MeshConfig
from artemon.snapshot.view import ProxyView
from artemon.translate.dynamic_dns import lookup_filter
from artemon.translate.filters.http import http_filters
from artemon.translate.telemetry.logs import direction, http_logs
from artemon.translate.telemetry.messages import counts_messages, message_filter
from artemon.translate.telemetry.side import Side
from artemon.translate.telemetry.tracing import trace
from artemon.translate.wire import ZERO, ads, packed

NAME = "envoy.filters.network.http_connection_manager"


@dataclass(frozen=True, slots=True)
class Http:
    """One HTTP chain. route: a configuration that is fetched by name, or an inline one. first: filters that
    decide who may ask. strict_paths: whether they look at paths, so that every spelling must be undone."""

    side: Side
    stat_prefix: str
    route: str | RouteConfiguration
    grpc_web: bool = False
    grpc: bool = False
    """Whether gRPC may come, whose messages are counted."""
    looks_up: bool = False
    """Whether a request may go to a host that is looked up for it."""
    first: Sequence[HttpFilter] = ()
    strict_paths: bool = False
    logs: Sequence[AccessLog] = ()
    """Beside those of every chain."""


def http_filter(http: Http, view: ProxyView) -> Filter:
    """The network filter of an HTTP chain."""
    return Filter(name=NAME, typed_config=packed(connection_manager(http, view)))


def connection_manager(http: Http, view: ProxyView) -> HttpConnectionManager:
    """Paths are normalized before anything matches on them; WebSockets pass; streams may idle."""
    mesh = view.mesh
    grpc = http.grpc and counts_messages(direction(view, http.side).metrics)
    out = HttpConnectionManager(
        stat_prefix=http.stat_prefix,
        http_filters=http_filters(
            grpc_web=http.grpc_web,
            messages=message_filter() if grpc else None,
            outbound=http.side is not Side.INBOUND,
            first=http.first,
            before_router=[lookup_filter(mesh)] if http.looks_up else (),
        ),
        access_log=[*http_logs(view, http.side, grpc=grpc), *http.logs],
        stream_idle_timeout=ZERO,
        server_header_transformation=HttpConnectionManager.PASS_THROUGH,
        path_with_escaped_slashes_action=HttpConnectionManager.KEEP_UNCHANGED,
    )
    out.use_remote_address.value = http.side is Side.GATEWAY
    out.upgrade_configs.add(upgrade_type="websocket")
    trace(out, view, http.side)
    _paths(out, mesh, strict=http.strict_paths)
    topology = mesh.default_config.gateway_topology
    _caller(out, http.side, topology.num_trusted_proxies if topology else 0)
    if isinstance(http.route, RouteConfiguration):
        out.route_config.CopyFrom(http.route)
    else:
        out.rds.CopyFrom(Rds(route_config_name=http.route, config_source=ads()))
    return out


def _paths(out: HttpConnectionManager, mesh: MeshConfig, *, strict: bool) -> None:
    wanted = mesh.path_normalization.normalization if mesh.path_normalization else "DEFAULT"
    if strict and wanted == "DEFAULT":
        wanted = "DECODE_AND_MERGE_SLASHES"
    out.normalize_path.value = wanted != "NONE"
    out.merge_slashes = wanted in ("MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
    if wanted == "DECODE_AND_MERGE_SLASHES":
        out.path_with_escaped_slashes_action = HttpConnectionManager.UNESCAPE_AND_FORWARD


def _caller(out: HttpConnectionManager, side: Side, trusted_hops: int) -> None:
    """Who called, in x-forwarded-client-cert: a sidecar appends, a gateway believes no one before it."""
    if side is Side.OUTBOUND:
        return
    details = out.set_current_client_cert_details
    details.subject.value = True
    details.dns = True
    details.uri = True
    if side is Side.GATEWAY:
        out.xff_num_trusted_hops = trusted_hops
        out.forward_client_cert_details = HttpConnectionManager.SANITIZE_SET
        details.cert = True
    else:
        out.forward_client_cert_details = HttpConnectionManager.APPEND_FORWARD
