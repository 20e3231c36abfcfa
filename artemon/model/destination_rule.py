"""DestinationRule: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Int32, Message, Seq, Uint32, Uint64
from artemon.model.selector import MatchLabelsSelector


class ClientTLSSettings(Message):
    """`ClientTLSSettings` of Istio's DestinationRule."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    credential_name: str = ""
    subject_alt_names: Seq[str] = ()
    sni: str = ""
    insecure_skip_verify: bool | None = None
    ca_crl: str = ""


class ConnectionPoolSettingsHTTPSettingsConnectionKeepalive(Message):
    """`ConnectionPoolSettings.HTTPSettings.ConnectionKeepalive` of Istio's DestinationRule."""

    interval: Duration | None = None
    timeout: Duration | None = None


class ConnectionPoolSettingsHTTPSettings(Message):
    """`ConnectionPoolSettings.HTTPSettings` of Istio's DestinationRule."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Duration | None = None
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 = 0
    http2_keep_alive: ConnectionPoolSettingsHTTPSettingsConnectionKeepalive | None = None


class ConnectionPoolSettingsTCPSettingsTcpKeepalive(Message):
    """`ConnectionPoolSettings.TCPSettings.TcpKeepalive` of Istio's DestinationRule."""

    probes: Uint32 = 0
    time: Duration | None = None
    interval: Duration | None = None


class ConnectionPoolSettingsTCPSettings(Message):
    """`ConnectionPoolSettings.TCPSettings` of Istio's DestinationRule."""

    max_connections: Int32 = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: ConnectionPoolSettingsTCPSettingsTcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Duration | None = None


class ConnectionPoolSettings(Message):
    """`ConnectionPoolSettings` of Istio's DestinationRule."""

    tcp: ConnectionPoolSettingsTCPSettings | None = None
    http: ConnectionPoolSettingsHTTPSettings | None = None


class LoadBalancerSettingsConsistentHashLBHTTPCookieAttribute(Message):
    """`LoadBalancerSettings.ConsistentHashLB.HTTPCookie.Attribute` of Istio's DestinationRule."""

    name: str = ""
    value: str = ""


class LoadBalancerSettingsConsistentHashLBHTTPCookie(Message):
    """`LoadBalancerSettings.ConsistentHashLB.HTTPCookie` of Istio's DestinationRule."""

    name: str = ""
    path: str = ""
    ttl: Duration | None = None
    attributes: Seq[LoadBalancerSettingsConsistentHashLBHTTPCookieAttribute] = ()


class LoadBalancerSettingsConsistentHashLBMagLev(Message):
    """`LoadBalancerSettings.ConsistentHashLB.MagLev` of Istio's DestinationRule."""

    table_size: Uint64 = 0


class LoadBalancerSettingsConsistentHashLBRingHash(Message):
    """`LoadBalancerSettings.ConsistentHashLB.RingHash` of Istio's DestinationRule."""

    minimum_ring_size: Uint64 = 0


class LoadBalancerSettingsConsistentHashLB(Message):
    """`LoadBalancerSettings.ConsistentHashLB` of Istio's DestinationRule."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "hash_key": ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),
        "hash_algorithm": ("ringHash", "maglev"),
    }

    http_header_name: str | None = None
    http_cookie: LoadBalancerSettingsConsistentHashLBHTTPCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: LoadBalancerSettingsConsistentHashLBRingHash | None = None
    maglev: LoadBalancerSettingsConsistentHashLBMagLev | None = None
    minimum_ring_size: Uint64 = 0


class LocalityLoadBalancerSettingDistribute(Message):
    """`LocalityLoadBalancerSetting.Distribute` of Istio's DestinationRule."""

    from_: str = Field(default="", alias="from")
    to: dict[str, Uint32] = Field(default_factory=dict)


class LocalityLoadBalancerSettingFailover(Message):
    """`LocalityLoadBalancerSetting.Failover` of Istio's DestinationRule."""

    from_: str = Field(default="", alias="from")
    to: str = ""


class LocalityLoadBalancerSetting(Message):
    """`LocalityLoadBalancerSetting` of Istio's DestinationRule."""

    distribute: Seq[LocalityLoadBalancerSettingDistribute] = ()
    failover: Seq[LocalityLoadBalancerSettingFailover] = ()
    failover_priority: Seq[str] = ()
    enabled: bool | None = None


class WarmupConfiguration(Message):
    """`WarmupConfiguration` of Istio's DestinationRule."""

    duration: Duration | None = None
    minimum_percent: float | None = None
    aggression: float | None = None


class ZoneAwareLoadBalancerSettingFailover(Message):
    """`ZoneAwareLoadBalancerSetting.Failover` of Istio's DestinationRule."""

    from_: str = Field(default="", alias="from")
    to: str = ""


class ZoneAwareLoadBalancerSetting(Message):
    """`ZoneAwareLoadBalancerSetting` of Istio's DestinationRule."""

    enabled: bool | None = None
    failover: Seq[ZoneAwareLoadBalancerSettingFailover] = ()
    failover_priority: Seq[str] = ()
    min_cluster_size: Uint64 | None = None


class LoadBalancerSettings(Message):
    """`LoadBalancerSettings` of Istio's DestinationRule."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"lb_policy": ("simple", "consistentHash")}

    simple: (
        Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] | None
    ) = None
    consistent_hash: LoadBalancerSettingsConsistentHashLB | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    warmup_duration_secs: Duration | None = None
    warmup: WarmupConfiguration | None = None


class OutlierDetection(Message):
    """`OutlierDetection` of Istio's DestinationRule."""

    consecutive_errors: Int32 = 0
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: Uint32 | None = None
    consecutive_gateway_errors: Uint32 | None = None
    consecutive5xx_errors: Uint32 | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Int32 = 0
    min_health_percent: Int32 = 0
    outlier_detection_http_error_codes: Seq[Uint32] = ()


class TrafficPolicyPortTrafficPolicy(Message):
    """`TrafficPolicy.PortTrafficPolicy` of Istio's DestinationRule."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class TrafficPolicyProxyProtocol(Message):
    """`TrafficPolicy.ProxyProtocol` of Istio's DestinationRule."""

    version: Literal["V1", "V2"] = "V1"


class TrafficPolicyRetryBudget(Message):
    """`TrafficPolicy.RetryBudget` of Istio's DestinationRule."""

    percent: float | None = None
    min_retry_concurrency: Uint32 = 0
    budget_interval: Duration | None = None


class TrafficPolicyTunnelSettings(Message):
    """`TrafficPolicy.TunnelSettings` of Istio's DestinationRule."""

    protocol: str = ""
    target_host: str = ""
    target_port: Uint32 = 0


class TrafficPolicy(Message):
    """`TrafficPolicy` of Istio's DestinationRule."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: Seq[TrafficPolicyPortTrafficPolicy] = ()
    tunnel: TrafficPolicyTunnelSettings | None = None
    proxy_protocol: TrafficPolicyProxyProtocol | None = None
    retry_budget: TrafficPolicyRetryBudget | None = None


class Subset(Message):
    """`Subset` of Istio's DestinationRule."""

    name: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRule(Message):
    """The spec of a DestinationRule."""

    host: str = ""
    traffic_policy: TrafficPolicy | None = None
    subsets: Seq[Subset] = ()
    export_to: Seq[str] = ()
    workload_selector: MatchLabelsSelector | None = None
