"""For whom routes are made and what they may name: the arguments that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from artemon.model.destination_rule import (
    LoadBalancerSettingsConsistentHashLB,
    TrafficPolicyTunnelSettings,
)
from artemon.model.service import Protocol, Resolution, Service
from artemon.model.virtual_service import Destination as RouteTarget
from artemon.model.virtual_service import HTTPRetry
from artemon.snapshot.view import NO_POLICY, Destination, ProxyView
from artemon.translate import names

MESH = "mesh"
"""The gateway name that stands for all sidecars."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where requests come from: what `match` decides in the control plane.

    gateway: `mesh` for sidecars, `<namespace>/<name>` of the Gateway otherwise.
    port: the port that the client asked for. tls: whether the listener terminates TLS.
    """

    port: int
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    gateway: str = MESH
    tls: bool = False

    def meets(
        self, *, port: int, gateways: Sequence[str], labels: Mapping[str, str], namespace: str = ""
    ) -> bool:
        """Whether a match with these conditions can ever be met here; empty conditions are met."""
        if port and port != self.port:
            return False
        if gateways and self.gateway not in gateways:
            return False
        if gateways and self.gateway != MESH:
            return True
        if any(self.labels.get(key) != value for key, value in labels.items()):
            return False
        return namespace in ("", self.namespace)


@dataclass(frozen=True, slots=True)
class Manner:
    """How connections are passed on. lookup_port: where the server that TLS names is reached, when it is
    looked up for each of them. tunnel: where the HTTP proxy behind is asked to lead them. idle_timeout: in
    nanoseconds."""

    lookup_port: int = 0
    tunnel: TrafficPolicyTunnelSettings | None = None
    idle_timeout: int | None = None


DIRECT = Manner()


@dataclass(frozen=True, slots=True)
class Targets:
    """What may be routed to: services and the rules for them, by host; retries where a route says nothing."""

    services: Mapping[str, Service]
    destinations: Mapping[str, Destination]
    retries: HTTPRetry | None = None

    def cluster(self, target: RouteTarget, port: int) -> str:
        """The cluster of a destination, asked for on `port`; it need not exist."""
        return names.outbound_cluster(target.host, self.port(target, port), target.subset)

    def port(self, target: RouteTarget, port: int) -> int:
        """The port of a destination: the one it names, else the only one the service has, else `port`."""
        if target.port is not None and target.port.number:
            return target.port.number
        service = self.services.get(target.host)
        return service.ports[0].number if service is not None and len(service.ports) == 1 else port

    def manner(self, target: RouteTarget, port: int) -> Manner:
        """How connections to a destination are passed on."""
        return self.default_manner(target.host, self.port(target, port), target.subset)

    def default_manner(self, host: str, port: int, subset: str = "") -> Manner:
        """The same for a port and subset of a host. What an egress gateway does is not done before it."""
        service, rules = self.services.get(host), self.destinations.get(host)
        if service is None or (service.egress is not None and not service.egress.here):
            return DIRECT
        policy = rules.policy_for(port, subset) if rules is not None else NO_POLICY
        pool = policy.connection_pool.tcp if policy.connection_pool is not None else None
        looked_up = service.resolution is Resolution.DYNAMIC_DNS
        targets = (one.target_port or port for one in service.ports if one.number == port)
        return Manner(
            lookup_port=next(targets, port) if looked_up else 0,
            tunnel=policy.tunnel,
            idle_timeout=pool.idle_timeout if pool is not None else None,
        )

    def hashing(self, target: RouteTarget, port: int) -> LoadBalancerSettingsConsistentHashLB | None:
        """How requests to a destination stick to an instance; None when they do not."""
        return self.default_hashing(target.host, self.port(target, port), target.subset)

    def is_sniffed(self, host: str, port: int, subset: str = "") -> bool:
        """Whether the sidecar there has to find out what comes: a port of the mesh that does not say."""
        service, rules = self.services.get(host), self.destinations.get(host)
        if service is None or service.mesh_external:
            return False
        if not any(one.number == port and one.protocol is Protocol.AUTO for one in service.ports):
            return False
        tls = rules.policy_for(port, subset).tls if rules is not None else None
        return tls is None or tls.mode == "ISTIO_MUTUAL"

    def default_hashing(
        self, host: str, port: int, subset: str = ""
    ) -> LoadBalancerSettingsConsistentHashLB | None:
        """The same for a port and subset of a host."""
        rules = self.destinations.get(host)
        if rules is None:
            return None
        balancer = rules.policy_for(port, subset).load_balancer
        return balancer.consistent_hash if balancer is not None else None


def targets_of(view: ProxyView) -> Targets:
    """All that a proxy may route to."""
    return Targets(view.services, view.destinations, view.mesh.default_http_retry_policy)
