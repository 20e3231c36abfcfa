"""Telemetry: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Message, Seq
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference


class AccessLoggingFilter(Message):
    """Log only what a CEL expression says."""

    expression: str = ""


class AccessLoggingLogSelector(Message):
    """Which direction of traffic is logged."""

    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] = "CLIENT_AND_SERVER"


class ProviderRef(Message):
    """One of `MeshConfig.extensionProviders`, by name."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""


class AccessLogging(Message):
    """Access logs: to whom, and when."""

    match: AccessLoggingLogSelector | None = None
    providers: Seq[ProviderRef] = ()
    disabled: bool | None = None
    filter: AccessLoggingFilter | None = None


class MetricSelector(Message):
    """Which metric, in which direction."""

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
    """Set a label to a CEL expression, or take it away."""

    operation: Literal["UPSERT", "REMOVE"] = "UPSERT"
    value: str = ""


class MetricsOverrides(Message):
    """Changes to metrics that match."""

    match: MetricSelector | None = None
    disabled: bool | None = None
    tag_overrides: dict[str, MetricsOverridesTagOverride] = Field(default_factory=dict)


class Metrics(Message):
    """Metrics: to whom, with which changes."""

    providers: Seq[ProviderRef] = ()
    overrides: Seq[MetricsOverrides] = ()
    reporting_interval: Duration | None = None


class TracingEnvironment(Message):
    """A tag from an environment variable of the proxy."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    default_value: str = ""


class TracingFormatter(Message):
    """A tag from an Envoy format string."""

    value: str = ""


class TracingLiteral(Message):
    """A tag with a fixed value."""

    required: ClassVar[tuple[str, ...]] = ("value",)

    value: str = ""


class TracingRequestHeader(Message):
    """A tag from a request header."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    default_value: str = ""


class TracingCustomTag(Message):
    """Where the value of a span's tag comes from."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"type": ("literal", "environment", "header", "formatter")}

    literal: TracingLiteral | None = None
    environment: TracingEnvironment | None = None
    header: TracingRequestHeader | None = None
    formatter: TracingFormatter | None = None


class TracingTracingSelector(Message):
    """Which direction of traffic is traced."""

    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] = "CLIENT_AND_SERVER"


class Tracing(Message):
    """Spans: to whom, how many (percent), with which tags."""

    match: TracingTracingSelector | None = None
    providers: Seq[ProviderRef] = ()
    random_sampling_percentage: float | None = None
    disable_span_reporting: bool | None = None
    custom_tags: dict[str, TracingCustomTag] = Field(default_factory=dict)
    use_request_id_for_trace_sampling: bool | None = None
    enable_istio_tags: bool | None = None
    disable_context_propagation: bool | None = None


class Telemetry(Message):
    """What proxies report: metrics, access logs, traces. Mesh, namespace and workload are merged."""

    selector: MatchLabelsSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    tracing: Seq[Tracing] = ()
    metrics: Seq[Metrics] = ()
    access_logging: Seq[AccessLogging] = ()
