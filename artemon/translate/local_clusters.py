"""Clusters of one proxy: the application behind it, and the ones that stand for "elsewhere" and "nowhere"."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import BindConfig, SocketAddress
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint

from artemon.model.destination_rule import ConnectionPoolSettings, TrafficPolicy
from artemon.model.proxy import ProxyType
from artemon.model.service import Protocol
from artemon.snapshot.view import NO_POLICY, ProxyView
from artemon.translate import cluster_policy as policies
from artemon.translate import names
from artemon.translate.default_endpoints import default_endpoints
from artemon.translate.dynamic_dns import NAMED_BY_REQUEST, look_up, looks_up_any
from artemon.translate.endpoints import address
from artemon.translate.ingress import Served, served_ports
from artemon.translate.limits import most_at_once
from artemon.translate.stat_names import inbound_port, stat_name
from artemon.translate.telemetry.marks import SPACE, around_mark, service_mark
from artemon.translate.wire import struct

INBOUND_SOURCE, INBOUND_SOURCE_IPV6 = "127.0.0.6", "::6"
"""What intercepted inbound connections come from, so that interception lets them go to the application."""


def local_clusters(view: ProxyView) -> Iterator[Cluster]:
    """Every cluster of this proxy that is not a service's."""
    yield _black_hole(view)
    if view.proxy.type is ProxyType.SIDECAR:
        yield _original(view, names.PASSTHROUGH)
        if looks_up_any(view.mesh):
            yield _looked_up(view)
        for served in served_ports(view):
            yield inbound_cluster(view, served)
        if view.proxy.intercepts:
            yield _to_application(view, _original(view, names.INBOUND_PASSTHROUGH))
    for found in default_endpoints(view):
        cluster = _at(found.cluster, found.address, found.port)
        policies.limit(cluster, NO_POLICY, view.mesh)
        policies.speak(cluster, Protocol.AUTO, policies.Speech())
        yield cluster


def _at(name: str, place: str, port: int) -> Cluster:
    """A cluster of one address."""
    cluster = Cluster(name=name, type=Cluster.STATIC)
    cluster.load_assignment.cluster_name = name
    endpoint = LbEndpoint()
    endpoint.endpoint.address.CopyFrom(address(place, port))
    cluster.load_assignment.endpoints.add().lb_endpoints.append(endpoint)
    return cluster


def inbound_cluster(view: ProxyView, served: Served) -> Cluster:
    """The application behind a port. Its address is where the peer wanted to go, unless one is known."""
    name = names.inbound_cluster(served.port)
    target = served.app_address or ("" if view.proxy.intercepts else view.proxy.app_address)
    if target:
        cluster = _at(name, target, served.app_port)
    else:
        cluster = _to_application(view, Cluster(name=name, type=Cluster.ORIGINAL_DST))
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    policy = TrafficPolicy(connection_pool=_pool(view, served))
    policies.limit(cluster, policy, view.mesh)
    if most := most_at_once(view):
        allowed = cluster.circuit_breakers.thresholds[0].max_requests
        allowed.value = min(allowed.value, most)
    policies.speak(cluster, served.protocol, policies.Speech(policy.connection_pool))
    if served.host:
        service = next((one for one in view.own if one.host == served.host), None)
        services = {"services": [names.service_metadata(served.host, service.namespace if service else "")]}
        cluster.metadata.filter_metadata["istio"].CopyFrom(struct(services))
        mark = service_mark(served.host, service.namespace if service else "")
        cluster.metadata.filter_metadata[SPACE].CopyFrom(mark)
        if service is not None:
            pattern = view.mesh.inbound_cluster_stat_name
            cluster.alt_stat_name = stat_name(pattern, service, inbound_port(served))
    return cluster


def _pool(view: ProxyView, served: Served) -> ConnectionPoolSettings | None:
    """The Sidecar's limits on inbound connections: of the listener, else of all."""
    if served.ingress is not None and served.ingress.connection_pool is not None:
        return served.ingress.connection_pool
    return view.sidecar.spec.inbound_connection_pool if view.sidecar else None


def _black_hole(view: ProxyView) -> Cluster:
    cluster = Cluster(name=names.BLACK_HOLE, type=Cluster.STATIC)
    cluster.metadata.filter_metadata[SPACE].CopyFrom(around_mark(cluster.name))
    policies.limit(cluster, NO_POLICY, view.mesh)
    return cluster


def _original(view: ProxyView, name: str) -> Cluster:
    """Wherever the client wanted to go, in the protocol it speaks."""
    cluster = Cluster(name=name, type=Cluster.ORIGINAL_DST, lb_policy=Cluster.CLUSTER_PROVIDED)
    cluster.metadata.filter_metadata[SPACE].CopyFrom(around_mark(name))
    policies.limit(cluster, NO_POLICY, view.mesh)
    policies.speak(cluster, Protocol.AUTO, policies.Speech())
    return cluster


def _looked_up(view: ProxyView) -> Cluster:
    """Whatever host a request names."""
    cluster = Cluster(name=names.ALLOW_ANY_DYNAMIC_DNS_CLUSTER)
    look_up(cluster, view.mesh)
    policies.limit(cluster, NO_POLICY, view.mesh)
    policies.speak(cluster, Protocol.AUTO, policies.Speech(upstream=NAMED_BY_REQUEST))
    return cluster


def _to_application(view: ProxyView, cluster: Cluster) -> Cluster:
    """From an address of our own, unless it comes from the peer's."""
    if view.proxy.keeps_source:
        return cluster
    bind = BindConfig(source_address=SocketAddress(address=INBOUND_SOURCE, port_value=0))
    if view.proxy.ipv6:
        more = bind.extra_source_addresses.add()
        more.address.CopyFrom(SocketAddress(address=INBOUND_SOURCE_IPV6, port_value=0))
    cluster.upstream_bind_config.CopyFrom(bind)
    return cluster
