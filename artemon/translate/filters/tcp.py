"""The TCP proxy of a filter chain: bytes to a cluster or a weighted choice of them."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from artemon.model.destination_rule import TrafficPolicyTunnelSettings
from artemon.model.mesh_config import MeshConfig
from artemon.translate.filters.access_log import access_logs
from artemon.translate.wire import duration, packed

NAME = "envoy.filters.network.tcp_proxy"


def tcp_filter(cluster: str, mesh: MeshConfig) -> Filter:
    """All connections to one cluster."""
    return shared_tcp_filter(((cluster, 1),), mesh, stat_prefix=cluster)


def shared_tcp_filter(
    shares: Sequence[tuple[str, int]],
    mesh: MeshConfig,
    *,
    stat_prefix: str,
    tunnel: TrafficPolicyTunnelSettings | None = None,
    idle_timeout: int | None = None,
) -> Filter:
    """Connections to clusters by weight; every weight is above zero. tunnel: where the HTTP proxy behind them
    is asked to connect to. idle_timeout: in nanoseconds, 0 for never, None for Envoy's own (1 h)."""
    proxy = TcpProxy(stat_prefix=stat_prefix, access_log=access_logs(mesh))
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
