"""Envoy's access log entries and OTLP spans to records. Who reports is taken from its certificate alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from artemon.model.metric_fields import SIDE
from artemon.pki.errors import InvalidSpiffeId
from artemon.pki.spiffe import SpiffeId
from artemon.pki.subject import text_in
from mixerd.records import DESTINATION, SOURCE, Call, Reporter, Span

_FLAGS = {
    "failed_local_healthcheck": "LH",
    "no_healthy_upstream": "UH",
    "upstream_request_timeout": "UT",
    "local_reset": "LR",
    "upstream_remote_reset": "UR",
    "upstream_connection_failure": "UF",
    "upstream_connection_termination": "UC",
    "upstream_overflow": "UO",
    "no_route_found": "NR",
    "delay_injected": "DI",
    "fault_injected": "FI",
    "rate_limited": "RL",
    "rate_limit_service_error": "RLSE",
    "downstream_connection_termination": "DC",
    "upstream_retry_limit_exceeded": "URX",
    "stream_idle_timeout": "SI",
    "downstream_protocol_error": "DPE",
    "upstream_protocol_error": "UPE",
    "no_cluster_found": "NC",
    "duration_timeout": "DT",
}
_MAX_TEXT = 1024
_KINDS = ("", "internal", "server", "client", "producer", "consumer")
UNKNOWN, INBOUND = "unknown", "inbound"
SCOPES = next(
    name
    for name in ("scope_spans", "instrumentation_library_spans")
    if name in ResourceSpans.DESCRIPTOR.fields_by_name
)
"""What a field is called in the OTLP that xds-protos brings along; its number is the same."""


def flags_of(flags: Any) -> str:
    """Response flags, by their short names."""
    found = [_FLAGS[field.name] for field, _ in flags.ListFields() if field.name in _FLAGS]
    if flags.HasField("unauthorized_details"):
        found.append("UAEX")
    return ",".join(found)


def request(entry: Any, reporter: Reporter) -> Call:
    """One HTTPAccessLogEntry."""
    asked, answer = entry.request, entry.response
    grpc = bool(re.match(r"application/grpc($|[+;])", asked.request_headers.get("content-type", "")))
    return _call(
        entry.common_properties,
        reporter,
        protocol="grpc" if grpc else "http",
        method=_method(asked.request_method),
        path=(asked.original_path or asked.path)[:_MAX_TEXT],
        authority=asked.authority[:_MAX_TEXT],
        code=answer.response_code.value,
        request_id=asked.request_id[:_MAX_TEXT],
    )


def connection(entry: Any, reporter: Reporter) -> Call:
    """One TCPAccessLogEntry."""
    return _call(entry.common_properties, reporter, protocol="tcp")


def _method(number: int) -> str:
    names = ("", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
    return names[number] if number < len(names) else ""


def _call(
    common: Any,
    reporter: Reporter,
    *,
    protocol: str,
    method: str = "",
    path: str = "",
    authority: str = "",
    code: int = 0,
    request_id: str = "",
) -> Call:
    inbound = common.custom_tags.get(SIDE) == INBOUND or common.upstream_cluster.lower().startswith(INBOUND)
    peer = common.tls_properties.peer_certificate_properties
    if inbound:
        source_namespace, source, source_workload = _caller(peer)
        target = (reporter.namespace, reporter.service, reporter.workload, reporter.version)
    else:
        source_namespace, source, source_workload = reporter.namespace, reporter.service, reporter.workload
        target = (*_service(common.upstream_cluster, authority), "", _subset(common.upstream_cluster))
    return Call(
        at=common.start_time.seconds + common.start_time.nanos / 1e9,
        reporter=DESTINATION if inbound else SOURCE,
        source_namespace=source_namespace,
        source=source,
        source_workload=source_workload,
        namespace=target[0],
        service=target[1],
        workload=target[2],
        version=target[3],
        protocol=protocol,
        method=method,
        path=path,
        authority=authority,
        code=code,
        flags=flags_of(common.response_flags),
        duration=_milliseconds(common.time_to_last_downstream_tx_byte) or _milliseconds(common.duration),
        sent=common.downstream_wire_bytes_sent,
        received=common.downstream_wire_bytes_received,
        encrypted=inbound and len(peer.subject_alt_name) > 0,
        request_id=request_id,
    )


def _milliseconds(span: Any) -> float:
    return float(span.seconds * 1000 + span.nanos / 1e6)


def _caller(peer: Any) -> tuple[str, str, str]:
    for name in peer.subject_alt_name:
        try:
            identity = SpiffeId.parse(name.uri)
        except InvalidSpiffeId:
            continue
        caller = Reporter.of(identity, text_in(peer.subject))
        return caller.namespace, caller.service, caller.workload
    return "", UNKNOWN, UNKNOWN


def _service(cluster: str, authority: str) -> tuple[str, str]:
    """Namespace and short name of a service of the mesh; else the host, in no namespace."""
    parts = cluster.split("|")
    if len(parts) != 4:
        return "", (authority.partition(":")[0] or cluster or UNKNOWN)[:_MAX_TEXT]
    labels = parts[3].split(".")
    if len(labels) > 2 and labels[2] == "svc":
        return labels[1], labels[0]
    return "", parts[3]


def _subset(cluster: str) -> str:
    parts = cluster.split("|")
    return parts[2] if len(parts) == 4 else ""


def spans(message: Any, reporter: Reporter) -> Iterator[Span]:
    """The spans of one ExportTraceServiceRequest."""
    for resource in message.resource_spans:
        for scope in getattr(resource, SCOPES):
            for one in scope.spans:
                yield _span(one, reporter)


def _span(one: Any, reporter: Reporter) -> Span:
    tags = {tag.key: _value(tag.value) for tag in one.attributes}
    code = str(tags.get("http.status_code", ""))
    return Span(
        trace=one.trace_id.hex(),
        span=one.span_id.hex(),
        parent=one.parent_span_id.hex(),
        namespace=reporter.namespace,
        service=reporter.service,
        name=one.name[:_MAX_TEXT],
        kind=_KINDS[one.kind] if 0 <= one.kind < len(_KINDS) else "",
        start=one.start_time_unix_nano,
        duration=max(0, one.end_time_unix_nano - one.start_time_unix_nano) / 1e6,
        failed=one.status.code == 2 or code.startswith("5"),
        tags=json.dumps(tags, separators=(",", ":"))[: 16 * _MAX_TEXT],
    )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else ""
    return found if isinstance(found, (str, int, float, bool)) else str(found)
