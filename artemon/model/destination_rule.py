"""DestinationRule: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Int32, Message, Seq, Uint32, Uint64
from artemon.model.selector import MatchLabelsSelector
from artemon.model.virtual_service import PortSelector


class ClientTLSSettings(Message):
    """TLS towards the instances. ISTIO_MUTUAL takes the workload's own certificate."""

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
    """HTTP/2 PING: how often, and how long to wait for the answer."""

    interval: Duration | None = None
    timeout: Duration | None = None


class ConnectionPoolSettingsHTTPSettings(Message):
    """Limits on requests to one service. 0 means Envoy's default, which is practically none."""

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
    """SO_KEEPALIVE of upstream connections; 0 or unset means the system's value."""

    probes: Uint32 = 0
    time: Duration | None = None
    interval: Duration | None = None


class ConnectionPoolSettingsTCPSettings(Message):
    """Limits on connections to one service. connectTimeout: 10 s unless MeshConfig says otherwise."""

    max_connections: Int32 = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: ConnectionPoolSettingsTCPSettingsTcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Duration | None = None


class ConnectionPoolSettings(Message):
    """How much may be open or waiting towards one service (circuit breakers)."""

    tcp: ConnectionPoolSettingsTCPSettings | None = None
    http: ConnectionPoolSettingsHTTPSettings | None = None


class LoadBalancerSettingsConsistentHashLBHTTPCookieAttribute(Message):
    """One attribute of a generated cookie, such as SameSite."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    value: str = ""


class LoadBalancerSettingsConsistentHashLBHTTPCookie(Message):
    """A cookie to hash on; with a `ttl` it is made when the client has none."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    path: str = ""
    ttl: Duration | None = None
    attributes: Seq[LoadBalancerSettingsConsistentHashLBHTTPCookieAttribute] = ()


class LoadBalancerSettingsConsistentHashLBMagLev(Message):
    """The Maglev algorithm. tableSize: a prime, at most 5000011 (Envoy)."""

    table_size: Uint64 = 0


class LoadBalancerSettingsConsistentHashLBRingHash(Message):
    """The ketama ring. minimumRingSize: 1024 unless written."""

    minimum_ring_size: Uint64 = 0


class LoadBalancerSettingsConsistentHashLB(Message):
    """The same client goes to the same instance: what to hash and by which algorithm."""

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
    """From one locality, which share (percent, total 100) goes to which localities."""

    from_: str = Field(default="", alias="from")
    to: dict[str, Uint32] = Field(default_factory=dict)


class LocalityLoadBalancerSettingFailover(Message):
    """Where a region's traffic goes when it has no healthy instance left."""

    from_: str = Field(default="", alias="from")
    to: str = ""


class LocalityLoadBalancerSetting(Message):
    """Prefer near instances. Failing over needs outlier detection."""

    distribute: Seq[LocalityLoadBalancerSettingDistribute] = ()
    failover: Seq[LocalityLoadBalancerSettingFailover] = ()
    failover_priority: Seq[str] = ()
    enabled: bool | None = None


class WarmupConfiguration(Message):
    """A new instance gets its full share only after `duration` (Envoy slow start)."""

    required: ClassVar[tuple[str, ...]] = ("duration",)

    duration: Duration | None = None
    minimum_percent: float | None = None
    aggression: float | None = None


class ZoneAwareLoadBalancerSettingFailover(Message):
    """Where a region's traffic goes when it has no healthy instance left."""

    from_: str = Field(default="", alias="from")
    to: str = ""


class ZoneAwareLoadBalancerSetting(Message):
    """Envoy's own zone-aware routing."""

    enabled: bool | None = None
    failover: Seq[ZoneAwareLoadBalancerSettingFailover] = ()
    failover_priority: Seq[str] = ()
    min_cluster_size: Uint64 | None = None


class LoadBalancerSettings(Message):
    """How an instance is chosen. LEAST_CONN is the older name of LEAST_REQUEST, the default."""

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
    """When a failing instance is left alone, and for how long."""

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
    """The policy of one port; it replaces what the rule says for all ports."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class TrafficPolicyProxyProtocol(Message):
    """Send a PROXY protocol header upstream."""

    version: Literal["V1", "V2"] = "V1"


class TrafficPolicyRetryBudget(Message):
    """How many retries may be open, relative to the open requests (percent, 20 unless written)."""

    percent: float | None = None
    min_retry_concurrency: Uint32 = 0
    budget_interval: Duration | None = None


class TrafficPolicyTunnelSettings(Message):
    """Tunnel TCP through an HTTP proxy by CONNECT or POST."""

    required: ClassVar[tuple[str, ...]] = ("targetHost", "targetPort")

    protocol: str = ""
    target_host: str = ""
    target_port: Uint32 = 0


class TrafficPolicy(Message):
    """What holds after routing: balancing, pools, ejection, TLS."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: Seq[TrafficPolicyPortTrafficPolicy] = ()
    tunnel: TrafficPolicyTunnelSettings | None = None
    proxy_protocol: TrafficPolicyProxyProtocol | None = None
    retry_budget: TrafficPolicyRetryBudget | None = None


class Subset(Message):
    """A named part of a service's instances, chosen by labels."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRule(Message):
    """What holds for traffic to a host, after routing, and the subsets a route may name."""

    required: ClassVar[tuple[str, ...]] = ("host",)

    host: str = ""
    traffic_policy: TrafficPolicy | None = None
    subsets: Seq[Subset] = ()
    export_to: Seq[str] = ()
    workload_selector: MatchLabelsSelector | None = None
