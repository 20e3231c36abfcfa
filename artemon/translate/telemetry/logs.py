"""Everything that a filter chain reports."""

from __future__ import annotations

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType

from artemon.snapshot.view import ProxyView
from artemon.translate.filters.access_log import access_logs
from artemon.translate.telemetry.metrics import http_metrics, only, tcp_metrics
from artemon.translate.telemetry.side import Side


def http_logs(view: ProxyView, side: Side) -> list[AccessLog]:
    """For a chain of requests."""
    return [*access_logs(view.mesh), http_metrics(side)]


def tcp_logs(view: ProxyView, side: Side) -> list[AccessLog]:
    """For a chain of connections, which is asked when they are made as well."""
    lines = access_logs(view.mesh)
    for line in lines:
        line.filter.CopyFrom(only(AccessLogType.TcpConnectionEnd))
    return [*lines, *tcp_metrics(side)]
