"""Hosts that are looked up when they are asked for (Envoy: dynamic forward proxy)."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.protocol_pb2 import UpstreamHttpProtocolOptions
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import FilterConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2

from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Resolution
from artemon.snapshot.view import ProxyView
from artemon.translate.wire import duration, packed

FILTER = "envoy.filters.http.dynamic_forward_proxy"
SNI_FILTER = "envoy.filters.network.sni_dynamic_forward_proxy"
CLUSTER = "envoy.clusters.dynamic_forward_proxy"
NAMED_BY_REQUEST = UpstreamHttpProtocolOptions(auto_sni=True, auto_san_validation=True)
"""TLS to the host that a request names, with its certificate; nobody may change it."""


def looks_up_any(mesh: MeshConfig) -> bool:
    """Whether the mesh lets applications ask for any host by its DNS name."""
    return mesh.outbound_traffic_policy.mode == "ALLOW_ANY_DYNAMIC_DNS"


def looks_up(view: ProxyView) -> bool:
    """Whether a request of this proxy may have to wait until its host is looked up."""
    services = view.services.values()
    return looks_up_any(view.mesh) or any(one.resolution is Resolution.DYNAMIC_DNS for one in services)


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


def sni_lookup_filter(port: int, mesh: MeshConfig) -> Filter:
    """Holds a TLS connection until the server that it names is known, which is reached on `port`."""
    config = sni_dynamic_forward_proxy_pb2.FilterConfig(dns_cache_config=cache(mesh), port_value=port)
    return Filter(name=SNI_FILTER, typed_config=packed(config))


def look_up(cluster: Cluster, mesh: MeshConfig, *, strict: bool = True) -> None:
    """Let a cluster find its instances by the host of each request. strict: TLS shows and checks that very
    host; without, as the cluster says."""
    cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    cluster.cluster_type.name = CLUSTER
    config = ClusterConfig(dns_cache_config=cache(mesh), allow_insecure_cluster_options=not strict)
    cluster.cluster_type.typed_config.CopyFrom(packed(config))
