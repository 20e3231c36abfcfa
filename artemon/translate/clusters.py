"""Outbound clusters: one for every port and subset of every visible service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.protocol_pb2 import UpstreamHttpProtocolOptions
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from artemon.model.destination_rule import Subset, TrafficPolicy
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Port, Protocol, Resolution, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import NO_POLICY, Destination, overlay
from artemon.translate import cluster_policy as policies
from artemon.translate import names
from artemon.translate.cluster_tls import Identities, identities, introduce, secure, sni_from_request
from artemon.translate.dynamic_dns import NAMED_BY_REQUEST, look_up
from artemon.translate.endpoints import UNIX, Choice, load_assignment
from artemon.translate.localities import ANYWHERE, NONE, Preference, Standpoint, preference
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
"""How each resolution finds instances; DYNAMIC_DNS looks them up request by request."""


@dataclass(frozen=True, slots=True)
class Client:
    """For whom clusters are made: where it stands, and whether it passes TLS on unopened."""

    standpoint: Standpoint = ANYWHERE
    unopened: bool = False


ANY_CLIENT = Client()


@dataclass(frozen=True, slots=True)
class Target:
    """What one cluster is made for, and the policy in force for it."""

    service: Service
    port: Port
    policy: TrafficPolicy
    subset: Subset | None = None
    rule: str = ""
    """The DestinationRule that says so, as a path."""
    preference: Preference = NONE
    unopened: bool = False
    """Whether TLS is passed on to it unopened, by the server name that is its name (AUTO_PASSTHROUGH)."""

    @property
    def name(self) -> str:
        """The name of the cluster."""
        named = names.outbound_sni if self.unopened else names.outbound_cluster
        return named(self.service.host, self.port.number, self.subset_name)

    @property
    def subset_name(self) -> str:
        """The subset, "" when it is for all instances."""
        return self.subset.name if self.subset else ""

    @property
    def discovery(self) -> int | None:
        """The type of the cluster: how it finds its instances; None when it looks up each request's host."""
        if policies.passes_through(self.policy.load_balancer):
            return int(Cluster.ORIGINAL_DST)
        return _TYPES.get(self.service.resolution)

    @property
    def upstream(self) -> UpstreamHttpProtocolOptions | None:
        """How requests name the server of TLS; None where nothing depends on the request."""
        if self.discovery is None and (self.policy.tls is None or self.policy.tls.mode == "DISABLE"):
            return NAMED_BY_REQUEST
        return sni_from_request(self.policy.tls, self.service, self.port.protocol)

    def choice(self, client: Standpoint = ANYWHERE) -> Choice:
        """Which instances it has for a client."""
        labels = tuple(sorted(self.subset.labels.items())) if self.subset else ()
        by_name = self.discovery in (Cluster.STRICT_DNS, Cluster.LOGICAL_DNS)
        for_ = client.for_(self.preference)
        return Choice(
            self.port, labels, for_, preference=self.preference, by_name=by_name, encrypted=self.unopened
        )


def targets(
    service: Service, destination: Destination | None, mesh: MeshConfig, unopened: bool = False
) -> Iterator[Target]:
    """Every cluster that a service has, for each port the one for all instances first. unopened: also those
    that TLS is passed on to unopened."""
    subsets: tuple[Subset | None, ...] = (None, *(destination.subsets if destination else ()))
    rule = destination.rules[0].meta if destination else None
    path = names.config_path("destination-rule", rule.namespace, rule.name) if rule else ""
    for port in service.ports:
        if port.protocol is not Protocol.UDP:
            for subset in subsets:
                policy = policy_for(destination, port.number, subset, mesh)
                target = Target(service, port, policy, subset, path, preference(policy, mesh))
                yield target
                if unopened and not service.mesh_external and target.discovery is not None:
                    yield replace(target, unopened=True)


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
    client: Client = ANY_CLIENT,
) -> tuple[Resource, ...]:
    """The clusters of a service, made once for all proxies that follow the same rules."""
    peers = memo.get(identities, service, endpoints, mesh)
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
    _describe(cluster, target)
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


def _converse(cluster: Cluster, target: Target, peers: Identities, mesh: MeshConfig) -> None:
    """Protocols and TLS as the policy and the port ask for them."""
    service, policy, port = target.service, target.policy, target.port
    speech = policies.Speech(
        pool=policy.connection_pool,
        upgrade=policies.upgrades(policy.connection_pool, mesh),
        upstream=target.upstream,
        failures=policies.failures(policy.outlier_detection),
    )
    http2 = policies.speak(cluster, port.protocol, speech)
    sni = names.outbound_sni(service.host, port.number, target.subset_name)
    secure(cluster, policy.tls, service=service, sni=sni, peers=peers, mesh=mesh, http2=http2)
    introduce(cluster, policy.proxy_protocol)


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
