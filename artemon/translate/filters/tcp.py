"""The TCP proxy of a filter chain: bytes to a cluster or a weighted choice of them."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from artemon.model.mesh_config import MeshConfig
from artemon.translate.filters.access_log import access_logs
from artemon.translate.wire import packed

NAME = "envoy.filters.network.tcp_proxy"


def tcp_filter(cluster: str, mesh: MeshConfig) -> Filter:
    """All connections to one cluster."""
    return shared_tcp_filter(((cluster, 1),), mesh, stat_prefix=cluster)


def shared_tcp_filter(shares: Sequence[tuple[str, int]], mesh: MeshConfig, *, stat_prefix: str) -> Filter:
    """Connections to clusters by weight; every weight is above zero."""
    proxy = TcpProxy(stat_prefix=stat_prefix, access_log=access_logs(mesh))
    if len(shares) == 1:
        proxy.cluster = shares[0][0]
    else:
        proxy.weighted_clusters.clusters.extend(
            TcpProxy.WeightedCluster.ClusterWeight(name=cluster, weight=weight) for cluster, weight in shares
        )
    return Filter(name=NAME, typed_config=packed(proxy))
