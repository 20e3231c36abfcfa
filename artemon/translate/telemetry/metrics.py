"""Which of Istio's metrics a filter chain counts, with which labels (`artemon.model.metric_fields`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, ResponseFlagFilter
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType

from artemon.model.metric_fields import DESTINATION, PACKED, SEPARATOR, SOURCE, Field
from artemon.translate.telemetry.marks import AROUND, SERVICE, SPACE
from artemon.translate.telemetry.side import Side
from artemon.translate.telemetry.stats import Tags, stats_log

_CLUSTER_SERVICE = f"%CLUSTER_METADATA({SPACE}:{SERVICE})%"
_CLUSTER_AROUND = f"%CLUSTER_METADATA({SPACE}:{AROUND})%"
_HOST_AROUND = f"%METADATA(VIRTUAL_HOST:{SPACE}:{AROUND})%"
_ASKED = {
    "operators": [
        {"command": "CLUSTER_METADATA", "param": f"{SPACE}:{SERVICE}"},
        {"command": "REQ", "param": ":authority"},
    ]
}
_HOST_ASKED = f"%COALESCE({json.dumps(_ASKED, separators=(',', ':'))})%"
"""The service, else the host that the application asked for."""

_HTTP = {
    Field.CODE: "%RESPONSE_CODE%",
    Field.FLAGS: "%RESPONSE_FLAGS%",
    Field.GRPC_STATUS: "%GRPC_STATUS_NUMBER%",
}
_TCP = {Field.FLAGS: "%RESPONSE_FLAGS%"}
_TO_UPSTREAM = {
    Field.OWN: "%UPSTREAM_LOCAL_URI_SAN%",
    Field.PEER: "%UPSTREAM_PEER_URI_SAN%",
    Field.WHO: "%UPSTREAM_METADATA(istio:workload)%",
    Field.AROUND: _CLUSTER_AROUND,
    Field.SERVICE: _CLUSTER_SERVICE,
}
_FROM_DOWNSTREAM = {
    Field.OWN: "%DOWNSTREAM_LOCAL_URI_SAN%",
    Field.PEER: "%DOWNSTREAM_PEER_URI_SAN%",
    Field.WHO: "%DOWNSTREAM_PEER_SUBJECT%",
    Field.AROUND: _CLUSTER_AROUND,
    Field.SERVICE: _CLUSTER_SERVICE,
}

REQUESTS = "istio_requests_total"
HTTP_HISTOGRAMS: Mapping[str, str] = {
    "istio_request_duration_milliseconds": "%DURATION%",
    "istio_request_bytes": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "istio_response_bytes": "%DOWNSTREAM_WIRE_BYTES_SENT%",
}
OPENED = "istio_tcp_connections_opened_total"
CLOSED: Mapping[str, str] = {
    "istio_tcp_connections_closed_total": "",
    "istio_tcp_sent_bytes_total": "%DOWNSTREAM_WIRE_BYTES_SENT%",
    "istio_tcp_received_bytes_total": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
}
_NEVER_CONNECTED = ("UF", "UH", "NR", "NC", "UO", "URX")
"""Response flags of connections that end without an upstream."""


def _packed(head: str, fields: Mapping[Field, str]) -> str:
    return SEPARATOR.join((head, *(fields.get(one, "") for one in Field)))


def _format(side: Side, *, http: bool) -> str:
    head, path = (DESTINATION, _FROM_DOWNSTREAM) if side is Side.INBOUND else (SOURCE, _TO_UPSTREAM)
    fields = {**(_HTTP if http else _TCP), **path}
    if http and side is Side.OUTBOUND:
        fields |= {Field.AROUND: _HOST_AROUND, Field.SERVICE: _HOST_ASKED}
    return _packed(head, fields)


@cache
def http_metrics(side: Side) -> AccessLog:
    """What is counted of every request; not to be changed."""
    tags: Tags = ((PACKED, _format(side, http=True)),)
    return stats_log([(REQUESTS, "", tags)], [(name, value, tags) for name, value in HTTP_HISTOGRAMS.items()])


@cache
def tcp_metrics(side: Side) -> tuple[AccessLog, ...]:
    """What is counted of every connection, when it has an upstream and when it ends; not to be changed."""
    tags: Tags = ((PACKED, _format(side, http=False)),)
    opened = stats_log([(OPENED, "", tags)])
    failed = AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=_NEVER_CONNECTED))
    either = opened.filter.or_filter.filters
    either.append(only(AccessLogType.TcpUpstreamConnected))
    either.add().and_filter.filters.extend((only(AccessLogType.TcpConnectionEnd), failed))
    closed = stats_log([(name, value, tags) for name, value in CLOSED.items()])
    closed.filter.CopyFrom(only(AccessLogType.TcpConnectionEnd))
    return opened, closed


def only(kind: AccessLogType.ValueType) -> AccessLogFilter:
    """At one moment of a connection or request alone."""
    out = AccessLogFilter()
    out.log_type_filter.types.append(kind)
    return out
