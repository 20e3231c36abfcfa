"""What clusters are made for: ports and subsets of services, with the policy in force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.protocol_pb2 import UpstreamHttpProtocolOptions

from artemon.model.destination_rule import Subset, TrafficPolicy
from artemon.model.egress import Egress
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Port, Protocol, Resolution, Service
from artemon.snapshot.view import NO_POLICY, Destination, overlay
from artemon.translate import cluster_policy as policies
from artemon.translate import names
from artemon.translate.cluster_tls import sni_from_request
from artemon.translate.dynamic_dns import NAMED_BY_REQUEST
from artemon.translate.endpoints import Choice
from artemon.translate.localities import ANYWHERE, NONE, Preference, Standpoint, preference

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
    def way(self) -> Egress | None:
        """The way out through a gateway; None when the proxy reaches the service itself."""
        egress = self.service.egress
        return egress if egress is not None and not egress.here else None

    @property
    def sni(self) -> str:
        """The server name that asks for it; Envoy matches no `*` within one."""
        host = self.service.host.replace("*", "_any") if self.service.egress else self.service.host
        return names.outbound_sni(host, self.port.number, self.subset_name)

    @property
    def discovery(self) -> int | None:
        """The type of the cluster: how it finds its instances; None when it looks up each request's host."""
        if self.way is not None:
            return int(Cluster.EDS if self.way.gate is not None else Cluster.STATIC)
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
        gate = self.way.gate if self.way is not None else None
        labels = tuple(sorted(self.subset.labels.items())) if self.subset and self.way is None else ()
        port = self.port if gate is None else Port(gate.port, gate.port_name)
        by_name = self.discovery in (Cluster.STRICT_DNS, Cluster.LOGICAL_DNS)
        for_ = client.for_(self.preference)
        return Choice(
            port, labels, for_, preference=self.preference, by_name=by_name, encrypted=self.unopened
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
