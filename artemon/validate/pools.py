"""Connection pools and outlier detection: how much a service gets, and when an instance gets nothing."""

from __future__ import annotations

from artemon.model.destination_rule import (
    ConnectionPoolSettings,
    ConnectionPoolSettingsHTTPSettings,
    ConnectionPoolSettingsTCPSettings,
    OutlierDetection,
)
from artemon.validate.amounts import duration, durations, not_negative, percent
from artemon.validate.findings import Problems, error, warning, wrong


def connection_pool(pool: ConnectionPoolSettings | None, path: str) -> Problems:
    """What is wrong with the limits of one policy."""
    if pool is None:
        return
    if pool.http is None and pool.tcp is None:
        yield error(path, "must have http or tcp")
    if pool.http is not None:
        yield from _http(pool.http, f"{path}.http")
    if pool.tcp is not None:
        yield from _tcp(pool.tcp, f"{path}.tcp")


def _http(http: ConnectionPoolSettingsHTTPSettings, path: str) -> Problems:
    for name, value in (
        ("http1MaxPendingRequests", http.http1_max_pending_requests),
        ("http2MaxRequests", http.http2_max_requests),
        ("maxRequestsPerConnection", http.max_requests_per_connection),
        ("maxRetries", http.max_retries),
        ("maxConcurrentStreams", http.max_concurrent_streams),
    ):
        yield from not_negative(value, f"{path}.{name}")
    yield from duration(http.idle_timeout, f"{path}.idleTimeout")
    if http.use_client_protocol and http.h2_upgrade_policy == "UPGRADE":
        yield error(f"{path}.useClientProtocol", "must not be set when h2UpgradePolicy is UPGRADE")
    alive = http.http2_keep_alive
    if alive is not None:
        where = f"{path}.http2KeepAlive"
        yield from durations((("interval", alive.interval), ("timeout", alive.timeout)), where)
        if alive.interval is None or alive.timeout is None:
            yield error(where, "must have both interval and timeout")


def _tcp(tcp: ConnectionPoolSettingsTCPSettings, path: str) -> Problems:
    yield from not_negative(tcp.max_connections, f"{path}.maxConnections")
    yield from durations(
        (
            ("connectTimeout", tcp.connect_timeout),
            ("maxConnectionDuration", tcp.max_connection_duration),
            ("idleTimeout", tcp.idle_timeout),
        ),
        path,
    )
    alive = tcp.tcp_keepalive
    if alive is not None:
        yield from durations((("time", alive.time), ("interval", alive.interval)), f"{path}.tcpKeepalive")


def outlier_detection(outlier: OutlierDetection | None, path: str) -> Problems:
    """What is wrong with the ejection of one policy."""
    if outlier is None:
        return
    yield from durations(
        (("interval", outlier.interval), ("baseEjectionTime", outlier.base_ejection_time)), path
    )
    if outlier.consecutive_errors:
        yield warning(
            f"{path}.consecutiveErrors", "is deprecated; use consecutive5xxErrors or consecutiveGatewayErrors"
        )
    yield from not_negative(outlier.consecutive_errors, f"{path}.consecutiveErrors")
    if outlier.consecutive_local_origin_failures and not outlier.split_external_local_origin_errors:
        yield error(f"{path}.consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors: true")
    yield from wrong(f"{path}.maxEjectionPercent", percent(outlier.max_ejection_percent))
    yield from wrong(f"{path}.minHealthPercent", percent(outlier.min_health_percent))
