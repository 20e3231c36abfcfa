"""Access logs to a file, in Istio's formats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.formatter.req_without_query.v3.req_without_query_pb2 import ReqWithoutQuery

from artemon.model.mesh_config import MeshConfig
from artemon.translate.wire import packed, struct

TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    '%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% '
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% '
    '%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% '
    '%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n'
)  # fmt: skip
JSON = {
    "start_time": "%START_TIME%",
    "route_name": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}


def access_logs(mesh: MeshConfig) -> list[AccessLog]:
    """The log that MeshConfig asks for, in every filter chain; none without `accessLogFile`."""
    if not mesh.access_log_file:
        return []
    log = FileAccessLog(path=mesh.access_log_file, log_format=mesh_format(mesh))
    return [AccessLog(name="envoy.access_loggers.file", typed_config=packed(log))]


def mesh_format(mesh: MeshConfig) -> SubstitutionFormatString:
    """The format of the whole mesh."""
    written = mesh.access_log_format
    if mesh.access_log_encoding == "JSON":
        return json_format(json.loads(written) if written else JSON)
    return text_format(written or TEXT)


def text_format(text: str) -> SubstitutionFormatString:
    """Lines in a format."""
    out = SubstitutionFormatString()
    out.text_format_source.inline_string = text if text.endswith("\n") else text + "\n"
    out.formatters.extend(formatters(text))
    return out


def json_format(fields: Mapping[str, Any]) -> SubstitutionFormatString:
    """Objects with a format for each field."""
    out = SubstitutionFormatString(json_format=struct(dict(fields)))
    out.formatters.extend(formatters(json.dumps(dict(fields))))
    return out


def formatters(text: str) -> list[TypedExtensionConfig]:
    """The extensions without which Envoy does not know what is in a format."""
    if "%REQ_WITHOUT_QUERY(" not in text:
        return []
    name = "envoy.formatter.req_without_query"
    return [TypedExtensionConfig(name=name, typed_config=packed(ReqWithoutQuery()))]
