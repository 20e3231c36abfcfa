"""Clusters as gRPC takes them (gRFC A27): instances by EDS, ROUND_ROBIN or RING_HASH."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from artemon.model.destination_rule import LoadBalancerSettings
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import Destination
from artemon.translate import cluster_policy as policies
from artemon.translate.cluster_tls import Identities, identities
from artemon.translate.grpc.tls import FOLLOWED_MODES, MUTUAL, client_socket
from artemon.translate.targets import Target, targets
from artemon.translate.wire import ads
from artemon.xds.resource import Resource
from artemon.xds.types import CLUSTER

ANYBODY = Identities((), ())


def offered(service: Service, destination: Destination | None, mesh: MeshConfig) -> Iterator[Target]:
    """The clusters of a service that gRPC can use. One whose TLS it cannot follow is left out, so that calls
    fail instead of going out in the clear; so are hosts that a
    proxy looks up request by request, and those that are reached through an egress gateway."""
    for target in targets(service, destination, mesh):
        reachable = target.discovery is not None and target.way is None and service.asked_by_name
        if _mode(target) in FOLLOWED_MODES and reachable:
            yield target


def _mode(target: Target) -> str:
    return target.policy.tls.mode if target.policy.tls else "DISABLE"


def service_clusters(
    memo: Memo,
    service: Service,
    destination: Destination | None,
    *,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
    bans: tuple[str, ...] = (),
) -> tuple[Resource, ...]:
    """The clusters of a service, made once for all clients. Instances count where identities are checked; one
    whose every identity is banned is left out. (gRPC takes no revocation list over xDS.)"""
    chosen: tuple[Target, ...] = memo.get(_offered, service, destination, mesh)
    checks = any(_mode(target) == MUTUAL for target in chosen)
    peers = memo.get(identities, service, endpoints, mesh) if checks else ANYBODY
    return memo.get(_clusters, chosen, mesh, by=(peers, bans))


def _offered(service: Service, destination: Destination | None, mesh: MeshConfig) -> tuple[Target, ...]:
    return tuple(offered(service, destination, mesh))


def _clusters(
    chosen: tuple[Target, ...], mesh: MeshConfig, peers: Identities, bans: tuple[str, ...]
) -> tuple[Resource, ...]:
    made = ((one.name, _cluster(one, peers, mesh, bans)) for one in chosen)
    return tuple(Resource.of(name, CLUSTER, one) for name, one in made if one is not None)


def _cluster(target: Target, peers: Identities, mesh: MeshConfig, bans: tuple[str, ...]) -> Cluster | None:
    cluster = Cluster(name=target.name, type=Cluster.EDS)
    cluster.eds_cluster_config.eds_config.CopyFrom(ads())
    cluster.eds_cluster_config.service_name = cluster.name
    _balance(cluster, target.policy.load_balancer)
    policies.limit(cluster, target.policy, mesh)
    policies.eject(cluster, target.policy.outlier_detection)
    if _mode(target) == MUTUAL:
        named = (target.policy.tls.subject_alt_names if target.policy.tls else ()) or peers.ids
        trusted = [one for one in named if one not in bans]
        if named and not trusted:
            return None  # without names, whoever is of the mesh would do
        cluster.transport_socket.CopyFrom(client_socket(trusted))
    return cluster


def not_banned(
    endpoints: tuple[Endpoint, ...], mesh: MeshConfig, bans: tuple[str, ...]
) -> tuple[Endpoint, ...]:
    """The instances whose identity is not banned; the very tuple where all are left."""
    if not bans:
        return endpoints
    kept = tuple(
        one
        for one in endpoints
        if f"spiffe://{mesh.trust_domain}/ns/{one.namespace}/sa/{one.service_account}" not in bans
    )
    return kept if len(kept) < len(endpoints) else endpoints


def _balance(cluster: Cluster, settings: LoadBalancerSettings | None) -> None:
    """Whatever hashes uses the ring, whatever does not takes turns: gRPC refuses all else."""
    hashing = settings.consistent_hash if settings else None
    cluster.lb_policy = Cluster.RING_HASH if hashing else Cluster.ROUND_ROBIN
    if hashing is not None:
        written = hashing.ring_hash.minimum_ring_size if hashing.ring_hash else hashing.minimum_ring_size
        cluster.ring_hash_lb_config.minimum_ring_size.value = written or policies.RING_SIZE
