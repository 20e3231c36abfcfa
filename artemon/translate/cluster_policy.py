"""How a cluster treats its instances: load balancing, limits, protocols, ejection."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster, UpstreamConnectionOptions
from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from envoy.config.common.matcher.v3.matcher_pb2 import HttpHeadersMatch, MatchPredicate
from envoy.config.core.v3.base_pb2 import RuntimeDouble
from envoy.config.core.v3.protocol_pb2 import (
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    KeepaliveSettings,
    UpstreamHttpProtocolOptions,
)
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import (
    HttpProtocolOptions as UpstreamOptions,
)
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.v3.percent_pb2 import Percent

from artemon.model import destination_rule as rules
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Protocol
from artemon.translate.wire import duration, packed

UNLIMITED = 2**32 - 1
RING_SIZE, LARGEST_RING = 1024, 8 << 20
"""Istio's least size of a ring, and the most that Envoy takes."""
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
MAX_STREAMS = 1073741824
WARMUP_PERCENT = 10.0

NO_BALANCER = rules.LoadBalancerSettings()
NO_POOL = rules.ConnectionPoolSettings()
NO_TCP = rules.ConnectionPoolSettingsTCPSettings()
NO_HTTP = rules.ConnectionPoolSettingsHTTPSettings()

_SIMPLE = {
    "ROUND_ROBIN": Cluster.ROUND_ROBIN,
    "RANDOM": Cluster.RANDOM,
    "LEAST_REQUEST": Cluster.LEAST_REQUEST,
    "LEAST_CONN": Cluster.LEAST_REQUEST,
    "UNSPECIFIED": Cluster.LEAST_REQUEST,
}


def balance(cluster: Cluster, settings: rules.LoadBalancerSettings | None) -> None:
    """Choose the algorithm; LEAST_REQUEST where nothing is written, and for what was LEAST_CONN."""
    settings = settings or NO_BALANCER
    if settings.consistent_hash is not None:
        _hash(cluster, settings.consistent_hash)
    else:
        cluster.lb_policy = _SIMPLE.get(settings.simple or "LEAST_REQUEST", Cluster.LEAST_REQUEST)
        _warm_up(cluster, settings)


def passes_through(settings: rules.LoadBalancerSettings | None) -> bool:
    """Whether connections go to the address that the client asked for, without choosing."""
    return settings is not None and settings.simple == "PASSTHROUGH"


def prefer_zone(cluster: Cluster, settings: rules.LoadBalancerSettings | None) -> None:
    """Share requests out among zones as the client's own service is spread over them (zone-aware routing)."""
    cluster.common_lb_config.zone_aware_lb_config.SetInParent()
    zones = settings.zone_aware_lb_setting if settings else None
    if zones is not None and zones.min_cluster_size is not None:
        cluster.common_lb_config.zone_aware_lb_config.min_cluster_size.value = zones.min_cluster_size


def _hash(cluster: Cluster, settings: rules.LoadBalancerSettingsConsistentHashLB) -> None:
    if settings.maglev is not None:
        cluster.lb_policy = Cluster.MAGLEV
        if settings.maglev.table_size:
            cluster.maglev_lb_config.table_size.value = settings.maglev.table_size
        return
    cluster.lb_policy = Cluster.RING_HASH
    written = settings.ring_hash.minimum_ring_size if settings.ring_hash else settings.minimum_ring_size
    cluster.ring_hash_lb_config.minimum_ring_size.value = min(written or RING_SIZE, LARGEST_RING)


def _warm_up(cluster: Cluster, settings: rules.LoadBalancerSettings) -> None:
    """Send little to new instances at first (slow start); Envoy knows it for these two algorithms."""
    configs = {
        Cluster.ROUND_ROBIN: cluster.round_robin_lb_config,
        Cluster.LEAST_REQUEST: cluster.least_request_lb_config,
    }
    config = configs.get(cluster.lb_policy)
    warmup = settings.warmup
    window = warmup.duration if warmup else settings.warmup_duration_secs
    if config is None or not window:
        return
    slow = config.slow_start_config
    slow.slow_start_window.CopyFrom(duration(window))
    written = warmup.minimum_percent if warmup else None
    slow.min_weight_percent.CopyFrom(Percent(value=WARMUP_PERCENT if written is None else written))
    if warmup is not None and warmup.aggression is not None:
        aggression = RuntimeDouble(default_value=warmup.aggression, runtime_key="slow_start.aggression")
        slow.aggression.CopyFrom(aggression)


def limit(cluster: Cluster, policy: rules.TrafficPolicy, mesh: MeshConfig) -> None:
    """Connection pool limits and timeouts; 0 in them means not written, and not written means no limit."""
    pool = policy.connection_pool or NO_POOL
    tcp = pool.tcp or NO_TCP
    http = pool.http or NO_HTTP
    cluster.connect_timeout.CopyFrom(duration(tcp.connect_timeout or mesh.connect_timeout))
    threshold = CircuitBreakers.Thresholds(track_remaining=True)
    threshold.max_connections.value = tcp.max_connections or UNLIMITED
    threshold.max_pending_requests.value = http.http1_max_pending_requests or UNLIMITED
    threshold.max_requests.value = http.http2_max_requests or UNLIMITED
    threshold.max_retries.value = http.max_retries or UNLIMITED
    if policy.retry_budget is not None:
        budget = policy.retry_budget
        threshold.retry_budget.budget_percent.value = 20.0 if budget.percent is None else budget.percent
        threshold.retry_budget.min_retry_concurrency.value = budget.min_retry_concurrency or 3
    cluster.circuit_breakers.thresholds.append(threshold)
    _keep_alive(cluster, tcp.tcp_keepalive or mesh.tcp_keepalive)


def _keep_alive(
    cluster: Cluster, settings: rules.ConnectionPoolSettingsTCPSettingsTcpKeepalive | None
) -> None:
    if settings is None:
        return
    options = UpstreamConnectionOptions()
    options.tcp_keepalive.SetInParent()
    if settings.probes:
        options.tcp_keepalive.keepalive_probes.value = settings.probes
    if settings.time:
        options.tcp_keepalive.keepalive_time.value = settings.time // 1_000_000_000
    if settings.interval:
        options.tcp_keepalive.keepalive_interval.value = settings.interval // 1_000_000_000
    cluster.upstream_connection_options.CopyFrom(options)


@dataclass(frozen=True, slots=True)
class Speech:
    """How HTTP is spoken upstream. upgrade: plain HTTP becomes HTTP/2. upstream: server names of TLS.
    failures: the answers that count for ejection, None for Envoy's own (5xx)."""

    pool: rules.ConnectionPoolSettings | None = None
    upgrade: bool = False
    upstream: UpstreamHttpProtocolOptions | None = None
    failures: UpstreamOptions.OutlierDetection | None = None


def speak(cluster: Cluster, protocol: Protocol, speech: Speech) -> bool:
    """Choose the upstream protocol; whether it is HTTP/2. A port without a protocol speaks the client's."""
    pool = speech.pool or NO_POOL
    http, common = pool.http or NO_HTTP, _common(pool)
    http2 = protocol.is_http2 or (protocol is Protocol.HTTP and speech.upgrade)
    as_client = http.use_client_protocol or protocol is Protocol.AUTO
    if not (protocol.is_http or protocol is Protocol.AUTO) and common is None:
        return False
    if not (http2 or as_client or common or speech.upstream or speech.failures):
        return False
    options = UpstreamOptions(
        common_http_protocol_options=common,
        upstream_http_protocol_options=speech.upstream,
        outlier_detection=speech.failures,
    )
    if as_client:
        options.use_downstream_protocol_config.http_protocol_options.CopyFrom(Http1ProtocolOptions())
        options.use_downstream_protocol_config.http2_protocol_options.CopyFrom(_http2(http))
    elif http2:
        options.explicit_http_config.http2_protocol_options.CopyFrom(_http2(http))
    else:
        options.explicit_http_config.http_protocol_options.CopyFrom(Http1ProtocolOptions())
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    return http2 and not as_client


def upgrades(pool: rules.ConnectionPoolSettings | None, mesh: MeshConfig) -> bool:
    """Whether plain HTTP to other workloads becomes HTTP/2."""
    if pool is not None and pool.http is not None and pool.http.h2_upgrade_policy != "DEFAULT":
        return pool.http.h2_upgrade_policy == "UPGRADE"
    return mesh.h2_upgrade_policy == "UPGRADE"


def _http2(http: rules.ConnectionPoolSettingsHTTPSettings) -> Http2ProtocolOptions:
    options = Http2ProtocolOptions()
    options.max_concurrent_streams.value = http.max_concurrent_streams or MAX_STREAMS
    alive = http.http2_keep_alive
    if alive is not None and alive.interval and alive.timeout:
        settings = KeepaliveSettings(interval=duration(alive.interval), timeout=duration(alive.timeout))
        options.connection_keepalive.CopyFrom(settings)
    return options


def _common(pool: rules.ConnectionPoolSettings) -> HttpProtocolOptions | None:
    http = pool.http or NO_HTTP
    lifetime = pool.tcp.max_connection_duration if pool.tcp else None
    if not (http.idle_timeout or http.max_requests_per_connection or lifetime):
        return None
    options = HttpProtocolOptions()
    if http.idle_timeout:
        options.idle_timeout.CopyFrom(duration(http.idle_timeout))
    if http.max_requests_per_connection:
        options.max_requests_per_connection.value = http.max_requests_per_connection
    if lifetime:
        options.max_connection_duration.CopyFrom(duration(lifetime))
    return options


def failures(settings: rules.OutlierDetection | None) -> UpstreamOptions.OutlierDetection | None:
    """The answers that count as failures, where a rule lists them."""
    codes = settings.outlier_detection_http_error_codes if settings is not None else ()
    if not codes:
        return None
    found = [_answers(code) for code in dict.fromkeys(codes)]
    either = MatchPredicate(or_match=MatchPredicate.MatchSet(rules=found)) if len(found) > 1 else found[0]
    return UpstreamOptions.OutlierDetection(error_matcher=either)


def _answers(code: int) -> MatchPredicate:
    status = HeaderMatcher(name=":status", string_match=StringMatcher(exact=str(code)))
    return MatchPredicate(http_response_headers_match=HttpHeadersMatch(headers=[status]))


def eject(cluster: Cluster, settings: rules.OutlierDetection | None) -> None:
    """Take failing instances out for a while. Success rates never eject."""
    if settings is None:
        return
    out = OutlierDetection()
    out.enforcing_success_rate.value = 0
    consecutive = settings.consecutive5xx_errors
    if consecutive is None and settings.consecutive_errors:
        consecutive = settings.consecutive_errors
    if consecutive is not None:
        out.consecutive_5xx.value = consecutive
        out.enforcing_consecutive_5xx.value = 100 if consecutive else 0
    if settings.consecutive_gateway_errors is not None:
        out.consecutive_gateway_failure.value = settings.consecutive_gateway_errors
        out.enforcing_consecutive_gateway_failure.value = 100 if settings.consecutive_gateway_errors else 0
    if settings.interval:
        out.interval.CopyFrom(duration(settings.interval))
    if settings.base_ejection_time:
        out.base_ejection_time.CopyFrom(duration(settings.base_ejection_time))
    if settings.max_ejection_percent:
        out.max_ejection_percent.value = settings.max_ejection_percent
    if settings.split_external_local_origin_errors:
        _split(out, settings)
    cluster.outlier_detection.CopyFrom(out)
    cluster.common_lb_config.healthy_panic_threshold.value = settings.min_health_percent


def _split(out: OutlierDetection, settings: rules.OutlierDetection) -> None:
    out.split_external_local_origin_errors = True
    out.enforcing_local_origin_success_rate.value = 0
    if settings.consecutive_local_origin_failures:
        out.consecutive_local_origin_failure.value = settings.consecutive_local_origin_failures
        out.enforcing_consecutive_local_origin_failure.value = 100
