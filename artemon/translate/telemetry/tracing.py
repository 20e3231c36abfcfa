"""How requests are traced: providers zipkin and opentelemetry, sampling, tags."""

from __future__ import annotations

from envoy.config.trace.v3.http_tracer_pb2 import Tracing as TraceProvider
from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.config.trace.v3.zipkin_pb2 import ZipkinConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3.environment_resource_detector_pb2 import (
    EnvironmentResourceDetectorConfig,
)
from envoy.extensions.tracers.opentelemetry.samplers.v3.parent_based_sampler_pb2 import (
    ParentBasedSamplerConfig,
)
from envoy.extensions.tracers.opentelemetry.samplers.v3.trace_id_ratio_based_sampler_pb2 import (
    TraceIdRatioBasedSamplerConfig,
)
from envoy.type.tracing.v3.custom_tag_pb2 import CustomTag

from artemon.model.mesh_providers import ExtensionProvider, OpenTelemetryProvider, ZipkinProvider
from artemon.model.metric_fields import TRACED, UNKNOWN
from artemon.model.telemetry import TracingCustomTag, TracingEnvironment, TracingLiteral
from artemon.snapshot.view import ProxyView
from artemon.translate import names
from artemon.translate.telemetry.logs import direction
from artemon.translate.telemetry.providers import grpc_to
from artemon.translate.telemetry.side import Side
from artemon.translate.wire import duration, packed

DEFAULT_SAMPLING = 1.0
"""Percent of requests that are traced where nobody says otherwise (Istio)."""
MILLION = 1_000_000
_SECOND = 1_000_000_000
_MAX_PATH = 256
_ZIPKIN_PATH = "/api/v2/spans"


def trace(out: HttpConnectionManager, view: ProxyView, side: Side) -> None:
    """Let a connection manager trace its requests, where a provider takes spans."""
    traced = _tracing(view, side)
    if traced is None:
        return
    out.tracing.CopyFrom(traced)
    if not direction(view, side).spans.by_request_id:
        plain = UuidRequestIdConfig()
        plain.use_request_id_for_trace_sampling.value = False
        out.request_id_extension.typed_config.CopyFrom(packed(plain))


def _tracing(view: ProxyView, side: Side) -> HttpConnectionManager.Tracing | None:
    """For a chain of requests; None where nothing is traced. Envoy's OpenTelemetry tracer takes no parent's
    decision unless its own sampler does, so there the sampler samples."""
    spans = direction(view, side).spans
    provider = next((one for one in view.mesh.extension_providers if one.name == spans.provider), None)
    host = view.reports.host(spans.provider)
    if provider is None or not host or spans.off:
        return None
    share = DEFAULT_SAMPLING if spans.sampling is None else spans.sampling
    tracer = _tracer(provider, host, share)
    if tracer is None:
        return None
    out = HttpConnectionManager.Tracing(provider=tracer)
    out.client_sampling.value = out.overall_sampling.value = 100.0
    out.random_sampling.value = 100.0 if provider.opentelemetry is not None else share
    out.max_path_tag_length.value = _path_length(view, provider)
    written = {name: _tag(name, tag) for name, tag in spans.tags if _is_whole(tag)}
    told = _istio_tags(view) if spans.istio_tags else {}
    out.custom_tags.extend((told | written)[name] for name in sorted(told | written))
    return out


def _istio_tags(view: ProxyView) -> dict[str, CustomTag]:
    """Whose spans they are. What differs between proxies of a namespace their environment tells, so that
    they can share their listeners."""
    mesh = view.mesh
    found = {
        f"istio.{name}": TracingCustomTag(
            environment=TracingEnvironment(name=variable, default_value=UNKNOWN)
        )
        for name, variable in TRACED.items()
    }
    for name, value in (
        ("mesh_id", mesh.default_config.mesh_id or mesh.trust_domain),
        ("namespace", view.proxy.namespace),
    ):
        found[f"istio.{name}"] = TracingCustomTag(literal=TracingLiteral(value=value))
    return {name: _tag(name, tag) for name, tag in found.items()}


def _path_length(view: ProxyView, provider: ExtensionProvider) -> int:
    asked = provider.opentelemetry or provider.zipkin
    defaults = view.mesh.default_config.tracing
    said = asked.max_tag_length if asked else 0
    return said or (defaults.max_path_tag_length if defaults else 0) or _MAX_PATH


def _tracer(provider: ExtensionProvider, host: str, share: float) -> TraceProvider.Http | None:
    if provider.opentelemetry is not None:
        config = packed(_opentelemetry(provider.opentelemetry, host, share))
        return TraceProvider.Http(name="envoy.tracers.opentelemetry", typed_config=config)
    if provider.zipkin is not None:
        return TraceProvider.Http(
            name="envoy.tracers.zipkin", typed_config=packed(_zipkin(provider.zipkin, host))
        )
    return None


def _opentelemetry(settings: OpenTelemetryProvider, host: str, share: float) -> OpenTelemetryConfig:
    """Whose spans they are, the environment of the proxy says: `OTEL_RESOURCE_ATTRIBUTES`."""
    out = OpenTelemetryConfig()
    if settings.http is not None:
        path = settings.http.path or "/v1/traces"
        uri = out.http_service.http_uri
        uri.uri = f"http://{host}:{settings.port}{path}"
        uri.cluster = names.outbound_cluster(host, settings.port)
        uri.timeout.CopyFrom(duration(settings.http.timeout or 10 * _SECOND))
    else:
        out.grpc_service.CopyFrom(grpc_to(host, settings.port))
        if settings.grpc is not None and settings.grpc.timeout:
            out.grpc_service.timeout.CopyFrom(duration(settings.grpc.timeout))
    detector = out.resource_detectors.add(name="envoy.tracers.opentelemetry.resource_detectors.environment")
    detector.typed_config.CopyFrom(packed(EnvironmentResourceDetectorConfig()))
    ratio = TraceIdRatioBasedSamplerConfig()
    ratio.sampling_percentage.numerator = round(share * 10_000)
    ratio.sampling_percentage.denominator = ratio.sampling_percentage.MILLION
    parent = ParentBasedSamplerConfig()
    parent.wrapped_sampler.name = "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based"
    parent.wrapped_sampler.typed_config.CopyFrom(packed(ratio))
    out.sampler.name = "envoy.tracers.opentelemetry.samplers.parent_based"
    out.sampler.typed_config.CopyFrom(packed(parent))
    return out


def _zipkin(settings: ZipkinProvider, host: str) -> ZipkinConfig:
    out = ZipkinConfig(
        collector_cluster=names.outbound_cluster(host, settings.port),
        collector_endpoint=settings.path or _ZIPKIN_PATH,
        collector_endpoint_version=ZipkinConfig.HTTP_JSON,
        collector_hostname=host,
        trace_id_128bit=settings.enable64bit_trace_id is False,
        trace_context_option=ZipkinConfig.TraceContextOption.Value(settings.trace_context_option),
    )
    out.shared_span_context.value = False
    return out


def _is_whole(tag: TracingCustomTag) -> bool:
    return any((tag.literal, tag.environment, tag.header, tag.formatter))


def _tag(name: str, tag: TracingCustomTag) -> CustomTag:
    out = CustomTag(tag=name)
    if tag.literal is not None:
        out.literal.value = tag.literal.value
    elif tag.environment is not None:
        out.environment.name = tag.environment.name
        out.environment.default_value = tag.environment.default_value
    elif tag.header is not None:
        out.request_header.name = tag.header.name
        out.request_header.default_value = tag.header.default_value
    elif tag.formatter is not None:
        out.value = tag.formatter.value
    return out
