"""Outbound clusters: one for every port and subset of every visible service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from artemon.model.destination_rule import Subset, TrafficPolicy
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Port, Protocol, Resolution, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import NO_POLICY, Destination, overlay
from artemon.translate import cluster_policy as policies
from artemon.translate import names
from artemon.translate.cluster_tls import Identities, identities, secure, sni_from_request
from artemon.translate.endpoints import UNIX, Choice, load_assignment
from artemon.translate.wire import ads, duration, struct
from artemon.xds.resource import Resource, content_version
from artemon.xds.types import CLUSTER, ENDPOINTS

DNS_JITTER = 100_000_000

_TYPES: dict[Resolution, int] = {
    Resolution.STATIC: Cluster.EDS,
    Resolution.DNS: Cluster.STRICT_DNS,
    Resolution.DNS_ROUND_ROBIN: Cluster.LOGICAL_DNS,
    Resolution.NONE: Cluster.ORIGINAL_DST,
}
"""How each resolution finds instances. DYNAMIC_DNS has no cluster of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one cluster is made for, and the policy in force for it."""

    service: Service
    port: Port
    policy: TrafficPolicy
    subset: Subset | None = None
    rule: str = ""
    """The DestinationRule that says so, as a path."""

    @property
    def name(self) -> str:
        """The name of the cluster."""
        return names.outbound_cluster(self.service.host, self.port.number, self.subset_name)

    @property
    def subset_name(self) -> str:
        """The subset, "" when it is for all instances."""
        return self.subset.name if self.subset else ""

    @property
    def discovery(self) -> int:
        """The type of the cluster: how it finds its instances."""
        if policies.passes_through(self.policy.load_balancer):
            return int(Cluster.ORIGINAL_DST)
        return _TYPES[self.service.resolution]

    def choice(self, locality: str = "") -> Choice:
        """Which instances it has."""
        labels = tuple(sorted(self.subset.labels.items())) if self.subset else ()
        by_name = self.discovery in (Cluster.STRICT_DNS, Cluster.LOGICAL_DNS)
        return Choice(self.port, labels, locality, by_name=by_name)


def targets(service: Service, destination: Destination | None, mesh: MeshConfig) -> Iterator[Target]:
    """Every cluster that a service has, for each port the one for all instances first."""
    if service.resolution not in _TYPES:
        return
    subsets: tuple[Subset | None, ...] = (None, *(destination.subsets if destination else ()))
    rule = destination.rules[0].meta if destination else None
    path = names.config_path("destination-rule", rule.namespace, rule.name) if rule else ""
    for port in service.ports:
        if port.protocol is not Protocol.UDP:
            for subset in subsets:
                policy = policy_for(destination, port.number, subset, mesh)
                yield Target(service, port, policy, subset, path)


def policy_for(
    destination: Destination | None, port: int, subset: Subset | None, mesh: MeshConfig
) -> TrafficPolicy:
    """The policy in force: of the rules over the mesh's default."""
    base = overlay(NO_POLICY, mesh.default_traffic_policy, port)
    if destination is None:
        return base
    return overlay(base, destination.policy_for(port, subset.name if subset else ""), port)


def service_clusters(
    memo: Memo,
    service: Service,
    destination: Destination | None,
    *,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
) -> tuple[Resource, ...]:
    """The clusters of a service, made once for all proxies that follow the same rules."""
    peers = memo.get(identities, service, endpoints, mesh)
    inline = endpoints if service.resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN) else ()
    return memo.get(_service_clusters, service, destination, inline, mesh, by=(peers,))


def _service_clusters(
    service: Service,
    destination: Destination | None,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
    peers: Identities,
) -> tuple[Resource, ...]:
    found = (
        outbound_cluster(target, peers, endpoints, mesh) for target in targets(service, destination, mesh)
    )
    return tuple(Resource.of(one.name, CLUSTER, one) for one in found if one is not None)


def outbound_cluster(
    target: Target, peers: Identities, endpoints: tuple[Endpoint, ...], mesh: MeshConfig
) -> Cluster | None:
    """One cluster; None when it needs an instance and has none (LOGICAL_DNS)."""
    service, policy, port = target.service, target.policy, target.port
    cluster = Cluster(name=target.name, type=target.discovery)
    cluster.common_lb_config.healthy_panic_threshold.value = 0
    if target.discovery == Cluster.ORIGINAL_DST:
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    else:
        policies.balance(cluster, policy.load_balancer)
    policies.limit(cluster, policy, mesh)
    policies.eject(cluster, policy.outlier_detection)
    upstream = sni_from_request(policy.tls, service, port.protocol)
    pool = policy.connection_pool
    upgrade = policies.upgrades(pool, mesh)
    http2 = policies.speak(cluster, port.protocol, pool, upgrade=upgrade, upstream=upstream)
    sni = names.outbound_sni(service.host, port.number, target.subset_name)
    secure(cluster, policy.tls, service=service, sni=sni, peers=peers, mesh=mesh, http2=http2)
    _describe(cluster, target)
    return cluster if _discover(cluster, target, endpoints, mesh) else None


def _describe(cluster: Cluster, target: Target) -> None:
    """Metadata as Istio has it: which service and rule this is."""
    service = target.service
    fields: dict[str, object] = {
        "default_original_port": target.port.number,
        "services": [names.service_metadata(service.host, service.namespace)],
    }
    if target.rule:
        fields["config"] = target.rule
    if target.subset is not None:
        fields["subset"] = target.subset.name
    cluster.metadata.filter_metadata["istio"].CopyFrom(struct(fields))


def _discover(cluster: Cluster, target: Target, endpoints: tuple[Endpoint, ...], mesh: MeshConfig) -> bool:
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
    body = load_assignment(Memo(), cluster.name, named, target.choice())
    cluster.load_assignment.CopyFrom(ClusterLoadAssignment.FromString(body))
    return cluster.type != Cluster.LOGICAL_DNS or bool(cluster.load_assignment.endpoints)


def service_assignments(
    memo: Memo,
    service: Service,
    destination: Destination | None,
    *,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
    locality: str = "",
) -> tuple[Resource, ...]:
    """The instances of each cluster of a service, for clients at `locality` where that matters."""
    chosen = memo.get(_choices, service, destination, mesh)
    if not any(prefers_near for _, _, prefers_near in chosen):
        locality = ""
    return memo.get(_assignments, chosen, endpoints, memo, by=(locality,))


_Choices = tuple[tuple[str, Target, bool], ...]


def _choices(service: Service, destination: Destination | None, mesh: MeshConfig) -> _Choices:
    """Name and target of every cluster that is sent instances, and whether near ones go first."""
    return tuple(
        (target.name, target, prefers_near(target.policy, mesh))
        for target in targets(service, destination, mesh)
        if target.discovery == Cluster.EDS
    )


def locality_matters(destinations: Mapping[str, Destination], mesh: MeshConfig) -> bool:
    """Whether clients at different places may be sent different instances."""
    found = (one for each in destinations.values() for one in (each.policy, *_of_subsets(each)))
    return any(_may_eject(policy) for policy in (mesh.default_traffic_policy, *found))


def _of_subsets(destination: Destination) -> Iterator[TrafficPolicy | None]:
    for subset in destination.subsets:
        yield subset.traffic_policy


def _may_eject(policy: TrafficPolicy | None) -> bool:
    if policy is None:
        return False
    levels = any(level.outlier_detection is not None for level in policy.port_level_settings)
    return levels or policy.outlier_detection is not None


def prefers_near(policy: TrafficPolicy, mesh: MeshConfig) -> bool:
    """Whether far instances wait until near ones fail: only where failing ones are found out (ejection)."""
    if policy.outlier_detection is None:
        return False
    balancer = policy.load_balancer
    setting = (balancer.locality_lb_setting if balancer else None) or mesh.locality_lb_setting
    return setting.enabled is not False and not setting.distribute


def _assignments(
    chosen: _Choices, endpoints: tuple[Endpoint, ...], memo: Memo, locality: str
) -> tuple[Resource, ...]:
    found = []
    for name, target, near in chosen:
        body = load_assignment(memo, name, endpoints, target.choice(locality if near else ""))
        found.append(Resource(name, ENDPOINTS, content_version(body), body))
    return tuple(found)
