"""Access logs of `MeshConfig.extensionProviders`: to a file, to a log service, as OpenTelemetry logs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog as EnvoyFile
from envoy.extensions.access_loggers.grpc.v3.als_pb2 import (
    CommonGrpcAccessLogConfig,
    HttpGrpcAccessLogConfig,
    TcpGrpcAccessLogConfig,
)
from envoy.extensions.access_loggers.open_telemetry.v3.logs_service_pb2 import OpenTelemetryAccessLogConfig
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from artemon.model.mesh_providers import (
    ExtensionProvider,
    FileAccessLog,
    GrpcAccessLog,
    OpenTelemetryAccessLog,
)
from artemon.model.metric_fields import SIDE
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.filters.access_log import TEXT, formatters, json_format, mesh_format, text_format
from artemon.translate.telemetry.side import Side
from artemon.translate.wire import packed

STDOUT = "/dev/stdout"
HTTP_NAME, TCP_NAME, OTEL_NAME = "http_envoy_accesslog", "tcp_envoy_accesslog", "otel_envoy_accesslog"
"""Names of logs where a provider gives none (Istio)."""


def provided_log(provider: ExtensionProvider, view: ProxyView, side: Side, *, tcp: bool) -> AccessLog | None:
    """The logger of a provider; None where it takes no such logs, or its service is not seen."""
    if provider.envoy_file_access_log is not None:
        return _file(provider.envoy_file_access_log, view)
    host = view.reports.host(provider.name)
    if not host:
        return None
    service = provider.envoy_tcp_als if tcp else provider.envoy_http_als
    if service is not None:
        return _service(service, host, side, tcp=tcp)
    if provider.envoy_otel_als is not None:
        return _otel(provider.envoy_otel_als, host)
    return None


def grpc_to(host: str, port: int) -> GrpcService:
    """How a gRPC service of the mesh is called."""
    out = GrpcService()
    out.envoy_grpc.cluster_name = names.outbound_cluster(host, port)
    out.envoy_grpc.authority = host
    return out


def _file(settings: FileAccessLog, view: ProxyView) -> AccessLog:
    written = settings.log_format
    if written is None or (written.text is None and written.labels is None):
        form = mesh_format(view.mesh)
    elif written.labels is not None:
        form = json_format(written.labels)
    else:
        form = text_format(written.text or TEXT)
    form.omit_empty_values = settings.omit_empty_values
    log = EnvoyFile(path=settings.path or STDOUT, log_format=form)
    return AccessLog(name="envoy.access_loggers.file", typed_config=packed(log))


def _service(settings: GrpcAccessLog, host: str, side: Side, *, tcp: bool) -> AccessLog:
    common = CommonGrpcAccessLogConfig(
        log_name=settings.log_name or (TCP_NAME if tcp else HTTP_NAME),
        grpc_service=grpc_to(host, settings.port),
        transport_api_version=ApiVersion.V3,
        filter_state_objects_to_log=settings.filter_state_objects_to_log,
    )
    common.custom_tags.add(tag=SIDE).literal.value = side.value
    if tcp:
        connections = TcpGrpcAccessLogConfig(common_config=common)
        return AccessLog(name="envoy.access_loggers.tcp_grpc", typed_config=packed(connections))
    requests = HttpGrpcAccessLogConfig(
        common_config=common,
        additional_request_headers_to_log=settings.additional_request_headers_to_log,
        additional_response_headers_to_log=settings.additional_response_headers_to_log,
        additional_response_trailers_to_log=settings.additional_response_trailers_to_log,
    )
    return AccessLog(name="envoy.access_loggers.http_grpc", typed_config=packed(requests))


def _otel(settings: OpenTelemetryAccessLog, host: str) -> AccessLog:
    out = OpenTelemetryAccessLogConfig()
    common = out.common_config
    common.log_name = settings.log_name or OTEL_NAME
    common.grpc_service.CopyFrom(grpc_to(host, settings.port))
    common.transport_api_version = ApiVersion.V3
    common.filter_state_objects_to_log.extend(settings.filter_state_objects_to_log)
    written = settings.log_format
    out.body.string_value = (written.text if written and written.text else TEXT).rstrip("\n")
    for name, value in _labels(written.labels if written else None).items():
        out.attributes.values.append(KeyValue(key=name, value=AnyValue(string_value=str(value))))
    labels = json.dumps(dict(_labels(written.labels if written else None)))
    out.formatters.extend(formatters(out.body.string_value + labels))
    return AccessLog(name="envoy.access_loggers.open_telemetry", typed_config=packed(out))


def _labels(labels: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return labels or {}
