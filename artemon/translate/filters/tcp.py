"""The TCP proxy of a filter chain: bytes to a cluster or a weighted choice of them."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy, UpstreamConnectMode

from artemon.model.destination_rule import TrafficPolicyTunnelSettings
from artemon.model.proxy import ProxyType
from artemon.snapshot.view import ProxyView
from artemon.translate.stat_names import outbound_prefix
from artemon.translate.telemetry.logs import tcp_logs
from artemon.translate.telemetry.side import Side
from artemon.translate.wire import duration, packed

NAME = "envoy.filters.network.tcp_proxy"


def tcp_filter(cluster: str, view: ProxyView) -> Filter:
    """All connections to one cluster, away from the proxy."""
    return shared_tcp_filter(((cluster, 1),), view, stat_prefix=outbound_prefix(cluster, view))


def inbound_tcp_filter(
    cluster: str,
    view: ProxyView,
    *,
    terminates: bool,
    stat_prefix: str = "",
    logs: Sequence[AccessLog] = (),
) -> Filter:
    """All connections to the application. terminates: whether mutual TLS ends before; then the application is
    connected to when it is known who calls. logs: beside those of every chain."""
    proxy = _proxy(view, stat_prefix or cluster, Side.INBOUND)
    proxy.access_log.extend(logs)
    proxy.cluster = cluster
    if terminates:
        proxy.upstream_connect_mode = UpstreamConnectMode.ON_DOWNSTREAM_TLS_HANDSHAKE
        proxy.max_early_data_bytes.value = 0
    return Filter(name=NAME, typed_config=packed(proxy))


def shared_tcp_filter(
    shares: Sequence[tuple[str, int]],
    view: ProxyView,
    *,
    stat_prefix: str,
    tunnel: TrafficPolicyTunnelSettings | None = None,
    idle_timeout: int | None = None,
) -> Filter:
    """Connections to clusters by weight; every weight is above zero. tunnel: where the HTTP proxy behind them
    is asked to connect to. idle_timeout: in nanoseconds, 0 for never, None for Envoy's own (1 h)."""
    proxy = _proxy(view, stat_prefix, _side(view))
    if len(shares) == 1:
        proxy.cluster = shares[0][0]
    else:
        proxy.weighted_clusters.clusters.extend(
            TcpProxy.WeightedCluster.ClusterWeight(name=cluster, weight=weight) for cluster, weight in shares
        )
    if tunnel is not None:
        host = f"[{tunnel.target_host}]" if ":" in tunnel.target_host else tunnel.target_host
        proxy.tunneling_config.hostname = f"{host}:{tunnel.target_port}"
        proxy.tunneling_config.use_post = tunnel.protocol.upper() == "POST"
    if idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(duration(idle_timeout))
    return Filter(name=NAME, typed_config=packed(proxy))


def _proxy(view: ProxyView, stat_prefix: str, side: Side) -> TcpProxy:
    proxy = TcpProxy(stat_prefix=stat_prefix, access_log=tcp_logs(view, side))
    proxy.access_log_options.flush_access_log_on_connected = True
    return proxy


def _side(view: ProxyView) -> Side:
    return Side.GATEWAY if view.proxy.type is ProxyType.ROUTER else Side.OUTBOUND
