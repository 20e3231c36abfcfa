"""`defaultConfig` of MeshConfig: how proxies are started (Istio `mesh.v1alpha1.ProxyConfig`)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from artemon.model.destination_rule import ClientTLSSettings, ConnectionPoolSettingsTCPSettingsTcpKeepalive
from artemon.model.duration import Duration, Nanoseconds
from artemon.model.message import Int32, Message, Seq, Uint32
from artemon.model.proxy_config import ProxyImage
from artemon.model.telemetry import TracingCustomTag
from artemon.model.workload_group import ReadinessProbe

SECOND = 1_000_000_000

ForwardClientCert = Literal[
    "UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"
]


class TracerAddress(Message):
    """Where a tracer listens: `host:port`."""

    address: str = ""
    access_token: str = ""


class ProxyTracing(Message):
    """Traces of proxies. sampling: percent of requests, 1 unless written."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "tracer": ("zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent")
    }

    zipkin: TracerAddress | None = None
    lightstep: TracerAddress | None = None
    datadog: TracerAddress | None = None
    stackdriver: dict[str, Any] | None = None
    open_census_agent: dict[str, Any] | None = None
    custom_tags: dict[str, TracingCustomTag] = Field(default_factory=dict)
    max_path_tag_length: Uint32 = 0
    sampling: float = 0.0
    tls_settings: ClientTLSSettings | None = None
    enable_istio_tags: bool | None = None


class RemoteService(Message):
    """A gRPC service that Envoy reports to: `host:port`."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    tcp_keepalive: ConnectionPoolSettingsTCPSettingsTcpKeepalive | None = None


class ProxyStatsMatcher(Message):
    """Which further statistics Envoy creates."""

    inclusion_prefixes: Seq[str] = ()
    inclusion_suffixes: Seq[str] = ()
    inclusion_regexps: Seq[str] = ()


class GatewayTopology(Message):
    """What stands before a gateway: how many trusted proxies, and whether they send PROXY headers."""

    num_trusted_proxies: Uint32 = 0
    forward_client_cert_details: ForwardClientCert = "UNDEFINED"
    proxy_protocol: dict[str, Any] | None = None


class HeaderSwitch(Message):
    """Whether a header is added."""

    disabled: bool | None = None
    value: str = ""


class MetadataExchangeHeaders(Message):
    """Which calls carry the headers of metadata exchange."""

    mode: Literal["UNDEFINED", "IN_MESH"] = "UNDEFINED"


class ProxyHeaders(Message):
    """Headers that the proxy adds by itself."""

    forwarded_client_cert: ForwardClientCert = "UNDEFINED"
    set_current_client_cert_details: dict[str, bool] = Field(default_factory=dict)
    request_id: HeaderSwitch | None = None
    server: HeaderSwitch | None = None
    attempt_count: HeaderSwitch | None = None
    envoy_debug_headers: HeaderSwitch | None = None
    metadata_exchange_headers: MetadataExchangeHeaders | None = None
    preserve_http1_header_case: bool | None = None


class MeshProxyConfig(Message):
    """Settings of every proxy; ProxyConfig objects and annotations come on top."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "cluster_name": ("serviceCluster", "tracingServiceName"),
    }

    config_path: str = "./etc/istio/proxy"
    binary_path: str = "/usr/local/bin/envoy"
    service_cluster: str | None = None
    tracing_service_name: (
        Literal["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"] | None
    ) = None
    drain_duration: Duration = Nanoseconds(45 * SECOND)
    termination_drain_duration: Duration = Nanoseconds(5 * SECOND)
    discovery_address: str = "istiod.istio-system.svc:15012"
    discovery_refresh_delay: Duration | None = None
    zipkin_address: str = ""
    statsd_udp_address: str = ""
    proxy_admin_port: Int32 = 15000
    control_plane_auth_policy: Literal["NONE", "MUTUAL_TLS"] = "MUTUAL_TLS"
    custom_config_file: str = ""
    stat_name_length: Int32 = 189
    concurrency: Int32 | None = None
    proxy_bootstrap_template_path: str = ""
    interception_mode: Literal["REDIRECT", "TPROXY", "NONE"] = "REDIRECT"
    tracing: ProxyTracing | None = None
    envoy_access_log_service: RemoteService | None = None
    envoy_metrics_service: RemoteService | None = None
    proxy_metadata: dict[str, str] = Field(default_factory=dict)
    runtime_values: dict[str, str] = Field(default_factory=dict)
    status_port: Int32 = 15020
    extra_stat_tags: Seq[str] = ()
    gateway_topology: GatewayTopology | None = None
    mesh_id: str = ""
    readiness_probe: ReadinessProbe | None = None
    proxy_stats_matcher: ProxyStatsMatcher | None = None
    hold_application_until_proxy_starts: bool | None = None
    ca_certificates_pem: Seq[str] = ()
    image: ProxyImage | None = None
    private_key_provider: dict[str, Any] | None = None
    proxy_headers: ProxyHeaders | None = None
    file_flush_interval: Duration | None = None
    file_flush_min_size_kb: Uint32 | None = None
    stats_compression: bool | None = None
