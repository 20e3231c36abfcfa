"""Everything that a filter chain reports."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType
from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter

from artemon.model.cel import as_envoy_names_it, unsupported
from artemon.snapshot.reports import Direction
from artemon.snapshot.view import ProxyView
from artemon.translate.filters.access_log import access_logs
from artemon.translate.telemetry.messages import message_metrics
from artemon.translate.telemetry.metrics import http_metrics, only, tcp_metrics
from artemon.translate.telemetry.providers import provided_log
from artemon.translate.telemetry.side import Side
from artemon.translate.wire import packed

CEL = "envoy.access_loggers.extension_filters.cel"


def direction(view: ProxyView, side: Side) -> Direction:
    """What is reported of traffic on that side."""
    return view.reports.server if side is Side.INBOUND else view.reports.client


def http_logs(view: ProxyView, side: Side, *, grpc: bool = False) -> list[AccessLog]:
    """For a chain of requests. grpc: whether messages of gRPC calls are counted as well."""
    counted = direction(view, side).metrics
    messages = message_metrics(side, counted) if grpc else ()
    return [*_lines(view, side, tcp=False), *http_metrics(side, counted), *messages]


def tcp_logs(view: ProxyView, side: Side) -> list[AccessLog]:
    """For a chain of connections, which is asked when they are made as well."""
    lines = list(_lines(view, side, tcp=True))
    for line in lines:
        _and(line, only(AccessLogType.TcpConnectionEnd))
    return [*lines, *tcp_metrics(side, direction(view, side).metrics)]


def _lines(view: ProxyView, side: Side, *, tcp: bool) -> Iterator[AccessLog]:
    if not view.reports.configured_logs:
        yield from access_logs(view.mesh)
        return
    providers = {one.name: one for one in view.mesh.extension_providers}
    for name, expression in direction(view, side).logs:
        provider = providers.get(name)
        known = provider is not None and not unsupported(expression)
        log = provided_log(provider, view, side, tcp=tcp) if provider is not None and known else None
        if log is not None:
            if expression:
                _and(log, _expression(expression))
            yield log


def _expression(text: str) -> AccessLogFilter:
    out = AccessLogFilter()
    out.extension_filter.name = CEL
    out.extension_filter.typed_config.CopyFrom(packed(ExpressionFilter(expression=as_envoy_names_it(text))))
    return out


def _and(log: AccessLog, condition: AccessLogFilter) -> None:
    if not log.HasField("filter"):
        log.filter.CopyFrom(condition)
        return
    both = AccessLogFilter()
    both.and_filter.filters.extend((log.filter, condition))
    log.filter.CopyFrom(both)
