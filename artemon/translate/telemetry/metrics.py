"""Which of Istio's metrics a filter chain counts, with which labels (`artemon.model.metric_fields`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, ResponseFlagFilter
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType

from artemon.model.cel import as_envoy_names_it, unsupported_in_label
from artemon.model.metric_fields import DESTINATION, PACKED, SEPARATOR, SOURCE, WITHOUT, WRITTEN, Field
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


Counted = tuple[tuple[str, Tags], ...]
"""Names of metrics, with labels that are changed: their expressions, "" for those that are taken away."""


def _format(side: Side, removed: Iterable[str], *, http: bool) -> str:
    head, path = (DESTINATION, _FROM_DOWNSTREAM) if side is Side.INBOUND else (SOURCE, _TO_UPSTREAM)
    fields = {**(_HTTP if http else _TCP), **path}
    if http and side is Side.OUTBOUND:
        fields |= {Field.AROUND: _HOST_AROUND, Field.SERVICE: _HOST_ASKED}
    without = set(removed)
    for one, labels in _FED.items():
        if labels <= without:
            fields.pop(one, None)
    head = WITHOUT.join((head, *sorted(without)))
    return SEPARATOR.join((head, *(fields.get(one, "") for one in Field)))


_FED: Mapping[Field, frozenset[str]] = {
    Field.CODE: frozenset({"response_code"}),
    Field.FLAGS: frozenset({"response_flags"}),
    Field.GRPC_STATUS: frozenset({"grpc_response_status", "request_protocol"}),
    Field.SERVICE: frozenset(
        {"destination_service", "destination_service_name", "destination_service_namespace"}
    ),
}
"""Fields that nothing but these labels is made from."""


def tagged(side: Side, changes: Tags, *, http: bool) -> Tags:
    """One label for all that is usual, and one for each that a Telemetry writes."""
    removed = [name for name, expression in changes if not expression]
    written = {name: as_envoy_names_it(text) for name, text in changes if _fits(text)}
    more = ((f"{WRITTEN}{name}", f"%CEL({text})%") for name, text in written.items())
    return ((PACKED, _format(side, removed, http=http)), *more)


def _fits(text: str) -> bool:
    return bool(text) and not unsupported_in_label(text)


@lru_cache(maxsize=1024)
def http_metrics(side: Side, counted: Counted) -> tuple[AccessLog, ...]:
    """What is counted of every request; not to be changed."""
    tags = {name: tagged(side, changes, http=True) for name, changes in counted}
    counters = [(REQUESTS, "", tags[REQUESTS])] if REQUESTS in tags else []
    histograms = [(name, value, tags[name]) for name, value in HTTP_HISTOGRAMS.items() if name in tags]
    return (stats_log(counters, histograms),) if counters or histograms else ()


@lru_cache(maxsize=1024)
def tcp_metrics(side: Side, counted: Counted) -> tuple[AccessLog, ...]:
    """What is counted of every connection, when it has an upstream and when it ends; not to be changed."""
    tags = {name: tagged(side, changes, http=False) for name, changes in counted}
    found = []
    if OPENED in tags:
        opened = stats_log([(OPENED, "", tags[OPENED])])
        failed = AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=_NEVER_CONNECTED))
        either = opened.filter.or_filter.filters
        either.append(only(AccessLogType.TcpUpstreamConnected))
        either.add().and_filter.filters.extend((only(AccessLogType.TcpConnectionEnd), failed))
        found.append(opened)
    ended = [(name, value, tags[name]) for name, value in CLOSED.items() if name in tags]
    if ended:
        closed = stats_log(ended)
        closed.filter.CopyFrom(only(AccessLogType.TcpConnectionEnd))
        found.append(closed)
    return tuple(found)


def only(kind: AccessLogType.ValueType) -> AccessLogFilter:
    """At one moment of a connection or request alone."""
    out = AccessLogFilter()
    out.log_type_filter.types.append(kind)
    return out
