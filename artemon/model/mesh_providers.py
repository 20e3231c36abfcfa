"""`extensionProviders` of MeshConfig: the named services that Telemetry and AuthorizationPolicy refer to."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Message, Seq, Uint32


def provider_host(service: str) -> tuple[str, str]:
    """Namespace ("" for any) and host of a provider's `service`: `[<namespace>/]<host>`."""
    namespace, slash, host = service.partition("/")
    return (namespace, host.lower()) if slash else ("", service.lower())


class ExtAuthzBody(Message):
    """How much of the body the authorizer gets (Envoy `with_request_body`)."""

    max_request_bytes: Uint32 = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


class ExtAuthzHttp(Message):
    """An external authorizer that is asked over HTTP."""

    required: ClassVar[tuple[str, ...]] = ("service", "port")

    service: str = ""
    port: Uint32 = 0
    timeout: Duration | None = None
    path_prefix: str = ""
    fail_open: bool = False
    clear_route_cache: bool | None = None
    status_on_error: str = ""
    include_headers_in_check: Seq[str] = ()
    include_request_headers_in_check: Seq[str] = ()
    include_additional_headers_in_check: dict[str, str] = Field(default_factory=dict)
    include_request_body_in_check: ExtAuthzBody | None = None
    headers_to_upstream_on_allow: Seq[str] = ()
    headers_to_downstream_on_deny: Seq[str] = ()
    headers_to_downstream_on_allow: Seq[str] = ()


class ExtAuthzGrpc(Message):
    """An external authorizer that is asked over gRPC (`envoy.service.auth.v3.Authorization`)."""

    required: ClassVar[tuple[str, ...]] = ("service", "port")

    service: str = ""
    port: Uint32 = 0
    timeout: Duration | None = None
    fail_open: bool = False
    clear_route_cache: bool | None = None
    status_on_error: str = ""
    include_request_body_in_check: ExtAuthzBody | None = None


class ServiceProvider(Message):
    """A service that takes traces. service: `[namespace/]host`."""

    required: ClassVar[tuple[str, ...]] = ("service", "port")

    service: str = ""
    port: Uint32 = 0
    max_tag_length: Uint32 = 0


class ZipkinProvider(ServiceProvider):
    """Spans in Zipkin's JSON."""

    enable64bit_trace_id: bool = Field(default=False, alias="enable64bitTraceId")
    path: str = ""
    trace_context_option: Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"] = "USE_B3"
    timeout: Duration | None = None


class LightstepProvider(ServiceProvider):
    """Spans for Lightstep."""

    access_token: str = ""


class SkyWalkingProvider(ServiceProvider):
    """Spans for SkyWalking."""

    access_token: str = ""


class OpenTelemetryHttp(Message):
    """OTLP over HTTP."""

    path: str = ""
    timeout: Duration | None = None
    headers: Seq[dict[str, Any]] = ()


class OpenTelemetryGrpc(Message):
    """OTLP over gRPC."""

    timeout: Duration | None = None
    initial_metadata: Seq[dict[str, Any]] = ()


class OpenTelemetryProvider(ServiceProvider):
    """Spans in OTLP."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"sampling": ("dynatraceSampler",)}

    http: OpenTelemetryHttp | None = None
    grpc: OpenTelemetryGrpc | None = None
    resource_detectors: dict[str, Any] | None = None
    dynatrace_sampler: dict[str, Any] | None = None


class LogFormat(Message):
    """The format of a log line: text, or labels of a JSON object."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"log_format": ("text", "labels")}

    text: str | None = None
    labels: dict[str, Any] | None = None


class FileAccessLog(Message):
    """Access logs in a file of the proxy; `/dev/stdout` for its standard output."""

    path: str = ""
    log_format: LogFormat | None = None
    omit_empty_values: bool = False


class GrpcAccessLog(Message):
    """Access logs by Envoy's gRPC access log service."""

    required: ClassVar[tuple[str, ...]] = ("service", "port")

    service: str = ""
    port: Uint32 = 0
    log_name: str = ""
    filter_state_objects_to_log: Seq[str] = ()
    additional_request_headers_to_log: Seq[str] = ()
    additional_response_headers_to_log: Seq[str] = ()
    additional_response_trailers_to_log: Seq[str] = ()


class OpenTelemetryAccessLog(Message):
    """Access logs in OTLP."""

    required: ClassVar[tuple[str, ...]] = ("service", "port")

    service: str = ""
    port: Uint32 = 0
    log_name: str = ""
    log_format: LogFormat | None = None
    filter_state_objects_to_log: Seq[str] = ()


class ExtensionProvider(Message):
    """One named provider, of one sort."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "provider": (
            "envoyExtAuthzHttp",
            "envoyExtAuthzGrpc",
            "zipkin",
            "lightstep",
            "datadog",
            "stackdriver",
            "skywalking",
            "opentelemetry",
            "prometheus",
            "envoyFileAccessLog",
            "envoyHttpAls",
            "envoyTcpAls",
            "envoyOtelAls",
        )
    }
    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    envoy_ext_authz_http: ExtAuthzHttp | None = None
    envoy_ext_authz_grpc: ExtAuthzGrpc | None = None
    zipkin: ZipkinProvider | None = None
    lightstep: LightstepProvider | None = None
    datadog: ServiceProvider | None = None
    stackdriver: dict[str, Any] | None = None
    skywalking: SkyWalkingProvider | None = None
    opentelemetry: OpenTelemetryProvider | None = None
    prometheus: dict[str, Any] | None = None
    envoy_file_access_log: FileAccessLog | None = None
    envoy_http_als: GrpcAccessLog | None = None
    envoy_tcp_als: GrpcAccessLog | None = None
    envoy_otel_als: OpenTelemetryAccessLog | None = None


class DefaultProviders(Message):
    """Providers used where no Telemetry says otherwise."""

    tracing: Seq[str] = ()
    metrics: Seq[str] = ()
    access_logging: Seq[str] = ()
