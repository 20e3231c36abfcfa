"""Telemetry: the fields of Istio's v1 schema."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Message, Seq
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "REQUEST_COUNT": "istio_requests_total",
        "REQUEST_DURATION": "istio_request_duration_milliseconds",
        "REQUEST_SIZE": "istio_request_bytes",
        "RESPONSE_SIZE": "istio_response_bytes",
        "TCP_OPENED_CONNECTIONS": "istio_tcp_connections_opened_total",
        "TCP_CLOSED_CONNECTIONS": "istio_tcp_connections_closed_total",
        "TCP_SENT_BYTES": "istio_tcp_sent_bytes_total",
        "TCP_RECEIVED_BYTES": "istio_tcp_received_bytes_total",
        "GRPC_REQUEST_MESSAGES": "istio_request_messages_total",
        "GRPC_RESPONSE_MESSAGES": "istio_response_messages_total",
    }
)
"""Names of metrics, in a Telemetry and as Prometheus gets them."""


def standard_metric(custom: str) -> str:
    """The name of a metric in a Telemetry, by the one that Prometheus gets, with or without `istio_`; "" for
    another."""
    return next((name for name, shown in METRICS.items() if custom in (shown, shown[6:])), "")


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
