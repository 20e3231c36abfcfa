"""Hosts that are looked up when they are asked for (Envoy: dynamic forward proxy)."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import FilterConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from artemon.model.mesh_config import MeshConfig
from artemon.translate.wire import duration, packed

FILTER = "envoy.filters.http.dynamic_forward_proxy"
CLUSTER = "envoy.clusters.dynamic_forward_proxy"


def looks_up_any(mesh: MeshConfig) -> bool:
    """Whether the mesh lets applications ask for any host by its DNS name."""
    return mesh.outbound_traffic_policy.mode == "ALLOW_ANY_DYNAMIC_DNS"


def cache(mesh: MeshConfig) -> DnsCacheConfig:
    """The one cache of a proxy; filters and clusters that name it must describe it alike."""
    return DnsCacheConfig(
        name="dynamic_dns",
        dns_lookup_family=Cluster.V4_PREFERRED,
        dns_refresh_rate=duration(mesh.dns_refresh_rate),
    )


def lookup_filter(mesh: MeshConfig) -> HttpFilter:
    """Holds a request to a looked-up cluster until its host is known; others pass."""
    return HttpFilter(name=FILTER, typed_config=packed(FilterConfig(dns_cache_config=cache(mesh))))


def look_up(cluster: Cluster, mesh: MeshConfig) -> None:
    """Let a cluster find its instances by the host of each request."""
    cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    cluster.cluster_type.name = CLUSTER
    cluster.cluster_type.typed_config.CopyFrom(packed(ClusterConfig(dns_cache_config=cache(mesh))))
