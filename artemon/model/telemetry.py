"""Telemetry: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Message, Seq
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference


class AccessLoggingFilter(Message):
    """`AccessLogging.Filter` of Istio's Telemetry."""

    expression: str = ""


class AccessLoggingLogSelector(Message):
    """`AccessLogging.LogSelector` of Istio's Telemetry."""

    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] = "CLIENT_AND_SERVER"


class ProviderRef(Message):
    """`ProviderRef` of Istio's Telemetry."""

    name: str = ""


class AccessLogging(Message):
    """`AccessLogging` of Istio's Telemetry."""

    match: AccessLoggingLogSelector | None = None
    providers: Seq[ProviderRef] = ()
    disabled: bool | None = None
    filter: AccessLoggingFilter | None = None


class MetricSelector(Message):
    """`MetricSelector` of Istio's Telemetry."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"metric_match": ("metric", "customMetric")}

    metric: (
        Literal[
            "ALL_METRICS",
            "REQUEST_COUNT",
            "REQUEST_DURATION",
            "REQUEST_SIZE",
            "RESPONSE_SIZE",
            "TCP_OPENED_CONNECTIONS",
            "TCP_CLOSED_CONNECTIONS",
            "TCP_SENT_BYTES",
            "TCP_RECEIVED_BYTES",
            "GRPC_REQUEST_MESSAGES",
            "GRPC_RESPONSE_MESSAGES",
        ]
        | None
    ) = None
    custom_metric: str | None = None
    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] = "CLIENT_AND_SERVER"


class MetricsOverridesTagOverride(Message):
    """`MetricsOverrides.TagOverride` of Istio's Telemetry."""

    operation: Literal["UPSERT", "REMOVE"] = "UPSERT"
    value: str = ""


class MetricsOverrides(Message):
    """`MetricsOverrides` of Istio's Telemetry."""

    match: MetricSelector | None = None
    disabled: bool | None = None
    tag_overrides: dict[str, MetricsOverridesTagOverride] = Field(default_factory=dict)


class Metrics(Message):
    """`Metrics` of Istio's Telemetry."""

    providers: Seq[ProviderRef] = ()
    overrides: Seq[MetricsOverrides] = ()
    reporting_interval: Duration | None = None


class TracingEnvironment(Message):
    """`Tracing.Environment` of Istio's Telemetry."""

    name: str = ""
    default_value: str = ""


class TracingFormatter(Message):
    """`Tracing.Formatter` of Istio's Telemetry."""

    value: str = ""


class TracingLiteral(Message):
    """`Tracing.Literal` of Istio's Telemetry."""

    value: str = ""


class TracingRequestHeader(Message):
    """`Tracing.RequestHeader` of Istio's Telemetry."""

    name: str = ""
    default_value: str = ""


class TracingCustomTag(Message):
    """`Tracing.CustomTag` of Istio's Telemetry."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"type": ("literal", "environment", "header", "formatter")}

    literal: TracingLiteral | None = None
    environment: TracingEnvironment | None = None
    header: TracingRequestHeader | None = None
    formatter: TracingFormatter | None = None


class TracingTracingSelector(Message):
    """`Tracing.TracingSelector` of Istio's Telemetry."""

    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] = "CLIENT_AND_SERVER"


class Tracing(Message):
    """`Tracing` of Istio's Telemetry."""

    match: TracingTracingSelector | None = None
    providers: Seq[ProviderRef] = ()
    random_sampling_percentage: float | None = None
    disable_span_reporting: bool | None = None
    custom_tags: dict[str, TracingCustomTag] = Field(default_factory=dict)
    use_request_id_for_trace_sampling: bool | None = None
    enable_istio_tags: bool | None = None
    disable_context_propagation: bool | None = None


class Telemetry(Message):
    """The spec of a Telemetry."""

    selector: MatchLabelsSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    tracing: Seq[Tracing] = ()
    metrics: Seq[Metrics] = ()
    access_logging: Seq[AccessLogging] = ()
