"""Outbound clusters: one for every port and subset of every visible service."""

from __future__ import annotations

from dataclasses import replace

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Resolution, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import Destination
from artemon.translate import cluster_policy as policies
from artemon.translate import names
from artemon.translate.cluster_tls import (
    Identities,
    identities,
    introduce,
    mesh_socket,
    secure,
)
from artemon.translate.dynamic_dns import look_up
from artemon.translate.endpoints import UNIX, load_assignment
from artemon.translate.localities import ANYWHERE, NONE, Standpoint
from artemon.translate.stat_names import stat_name
from artemon.translate.targets import ANY_CLIENT, Client, Target, targets
from artemon.translate.telemetry.marks import SPACE, service_mark
from artemon.translate.wire import ads, duration, struct
from artemon.xds.resource import Resource, content_version
from artemon.xds.types import CLUSTER, ENDPOINTS

DNS_JITTER = 100_000_000


def service_clusters(
    memo: Memo,
    service: Service,
    destination: Destination | None,
    *,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
    client: Client = ANY_CLIENT,
) -> tuple[Resource, ...]:
    """The clusters of a service, made once for all proxies that follow the same rules. endpoints: its
    instances, or those of the gateway that it is reached through."""
    peers = memo.get(identities, service, endpoints, mesh)
    if service.egress is not None and not service.egress.here:
        return memo.get(_service_clusters, service, destination, (), mesh, by=((peers, ANY_CLIENT),))
    inline = endpoints if service.resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN) else ()
    where = client if inline else replace(client, standpoint=ANYWHERE)
    return memo.get(_service_clusters, service, destination, inline, mesh, by=((peers, where),))


def _service_clusters(
    service: Service,
    destination: Destination | None,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
    told: tuple[Identities, Client],
) -> tuple[Resource, ...]:
    peers, client = told
    found = (
        outbound_cluster(target, peers, endpoints, mesh=mesh, client=client.standpoint)
        for target in targets(service, destination, mesh, client.unopened)
    )
    return tuple(Resource.of(one.name, CLUSTER, one) for one in found if one is not None)


def outbound_cluster(
    target: Target,
    peers: Identities,
    endpoints: tuple[Endpoint, ...],
    *,
    mesh: MeshConfig,
    client: Standpoint = ANYWHERE,
) -> Cluster | None:
    """One cluster; None when it needs an instance and has none (LOGICAL_DNS)."""
    cluster = Cluster(name=target.name)
    cluster.common_lb_config.healthy_panic_threshold.value = 0
    _balance(cluster, target, mesh)
    policies.limit(cluster, target.policy, mesh)
    policies.eject(cluster, target.policy.outlier_detection)
    if not target.unopened:
        _converse(cluster, target, peers, mesh)
    _describe(cluster, target, mesh)
    return cluster if _discover(cluster, target, endpoints, mesh=mesh, client=client) else None


def _balance(cluster: Cluster, target: Target, mesh: MeshConfig) -> None:
    """Say how it finds its instances and which one gets a request."""
    if target.discovery is None:
        upstream = target.upstream
        look_up(cluster, mesh, strict=upstream is not None and upstream.auto_san_validation)
        return
    cluster.type = target.discovery
    if target.discovery == Cluster.ORIGINAL_DST:
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
        return
    policies.balance(cluster, target.policy.load_balancer)
    if target.preference.shares:
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()
    if target.preference.zones:
        policies.prefer_zone(cluster, target.policy.load_balancer)


def _converse(cluster: Cluster, target: Target, peers: Identities, mesh: MeshConfig) -> None:
    """Protocols and TLS as the policy and the port ask for them; mutual TLS to a gateway, whose proxies then
    do with the service's TLS what the policy says."""
    service, policy, port = target.service, target.policy, target.port
    through = target.way is not None
    speech = policies.Speech(
        pool=policy.connection_pool,
        upgrade=policies.upgrades(policy.connection_pool, mesh),
        upstream=None if through else target.upstream,
        failures=policies.failures(policy.outlier_detection),
    )
    http2 = policies.speak(cluster, port.protocol, speech)
    if through:
        cluster.transport_socket.CopyFrom(mesh_socket(peers, target.sni, mesh, http2=http2))
        return
    secure(cluster, policy.tls, service=service, sni=target.sni, peers=peers, mesh=mesh, http2=http2)
    introduce(cluster, policy.proxy_protocol)


def _describe(cluster: Cluster, target: Target, mesh: MeshConfig) -> None:
    """Metadata as Istio has it: which service and rule this is; and what it is called in statistics."""
    service = target.service
    cluster.alt_stat_name = stat_name(
        mesh.outbound_cluster_stat_name, service, target.port, target.subset_name
    )
    fields: dict[str, object] = {
        "default_original_port": target.port.number,
        "services": [names.service_metadata(service.host, service.namespace)],
    }
    if target.rule:
        fields["config"] = target.rule
    if target.way is not None:
        fields["egress_gateway"] = target.way.gateway
    if target.subset is not None:
        fields["subset"] = target.subset.name
    cluster.metadata.filter_metadata["istio"].CopyFrom(struct(fields))
    mark = service_mark(service.host, service.namespace)
    cluster.metadata.filter_metadata[SPACE].CopyFrom(mark)


def _discover(
    cluster: Cluster, target: Target, endpoints: tuple[Endpoint, ...], *, mesh: MeshConfig, client: Standpoint
) -> bool:
    """Say where its instances come from; whether that is possible."""
    if cluster.type == Cluster.EDS:
        cluster.eds_cluster_config.eds_config.CopyFrom(ads())
        cluster.eds_cluster_config.service_name = cluster.name
    if cluster.type not in (Cluster.STRICT_DNS, Cluster.LOGICAL_DNS):
        return True
    cluster.dns_lookup_family = Cluster.V4_PREFERRED
    cluster.dns_refresh_rate.CopyFrom(duration(mesh.dns_refresh_rate))
    cluster.dns_jitter.CopyFrom(duration(DNS_JITTER))
    cluster.respect_dns_ttl = True
    named = tuple(one for one in endpoints if not one.address.startswith(UNIX))
    if cluster.type == Cluster.LOGICAL_DNS:
        named = named[:1]
    body = load_assignment(Memo(), cluster.name, named, target.choice(client))
    cluster.load_assignment.CopyFrom(ClusterLoadAssignment.FromString(body))
    return cluster.type != Cluster.LOGICAL_DNS or bool(cluster.load_assignment.endpoints)


def service_assignments(
    memo: Memo,
    service: Service,
    destination: Destination | None,
    *,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
    client: Client = ANY_CLIENT,
) -> tuple[Resource, ...]:
    """The instances of each cluster of a service, in the order that `client` prefers."""
    chosen = memo.get(_choices, service, destination, mesh, by=(client.unopened,))
    told = any(target.preference is not NONE for target in chosen)
    return memo.get(_assignments, chosen, endpoints, memo, by=(client.standpoint if told else ANYWHERE,))


def _choices(
    service: Service, destination: Destination | None, mesh: MeshConfig, unopened: bool
) -> tuple[Target, ...]:
    """Every cluster that is sent instances."""
    found = targets(service, destination, mesh, unopened)
    return tuple(target for target in found if target.discovery == Cluster.EDS)


def _assignments(
    chosen: tuple[Target, ...], endpoints: tuple[Endpoint, ...], memo: Memo, client: Standpoint
) -> tuple[Resource, ...]:
    found = []
    for target in chosen:
        body = load_assignment(memo, target.name, endpoints, target.choice(client))
        found.append(Resource(target.name, ENDPOINTS, content_version(body), body))
    return tuple(found)
