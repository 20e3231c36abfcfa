"""What one proxy may see: the only argument that translators get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from artemon.model.authorization_policy import AuthorizationPolicy
from artemon.model.destination_rule import DestinationRule, Subset, TrafficPolicy
from artemon.model.envoy_filter import EnvoyFilter
from artemon.model.gateway import Gateway
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import Proxy
from artemon.model.proxy_config import ProxyConfig
from artemon.model.rate_limit import RateLimit
from artemon.model.request_authentication import RequestAuthentication
from artemon.model.resource import Resource
from artemon.model.service import Endpoint, Service
from artemon.model.sidecar import Sidecar
from artemon.model.virtual_service import VirtualService
from artemon.snapshot.checks import AskedRule
from artemon.snapshot.reports import NO_REPORTS, Reports

Mode = Literal["STRICT", "PERMISSIVE", "DISABLE"]

PORT_BLOCKS = ("load_balancer", "connection_pool", "outlier_detection", "tls")
"""The parts of a policy that a port level replaces; what it leaves out goes back to the default."""
OTHER_BLOCKS = ("tunnel", "proxy_protocol", "retry_budget")
NO_POLICY = TrafficPolicy()


@dataclass(frozen=True, slots=True)
class MtlsMode:
    """The effective server modes of a workload (PeerAuthentication).

    ports: workload (target) port -> mode, where a port has one of its own.
    """

    default: Mode = "PERMISSIVE"
    ports: Mapping[int, Mode] = field(default_factory=dict)

    def of(self, port: int) -> Mode:
        """The mode of one workload port."""
        return self.ports.get(port, self.default)


@dataclass(frozen=True, slots=True)
class Destination:
    """The DestinationRules of one host for one client, merged (subsets united, first policy wins)."""

    host: str
    policy: TrafficPolicy | None
    subsets: tuple[Subset, ...]
    rules: tuple[Resource[DestinationRule], ...]

    def subset(self, name: str) -> Subset | None:
        """The subset called `name`."""
        return next((subset for subset in self.subsets if subset.name == name), None)

    def policy_for(self, port: int, subset: str = "") -> TrafficPolicy:
        """The policy in force for a service port and subset: a block of the subset's stands over the rule's,
        a port level replaces all blocks that it could name. An unknown subset adds nothing."""
        policy = overlay(NO_POLICY, self.policy, port)
        chosen = self.subset(subset) if subset else None
        return policy if chosen is None else overlay(policy, chosen.traffic_policy, port)


def overlay(base: TrafficPolicy, over: TrafficPolicy | None, port: int) -> TrafficPolicy:
    """`base` with the blocks that `over` writes, and with those of its level for `port`, if it has one."""
    if over is None:
        return base
    if base is NO_POLICY and not over.port_level_settings:
        return over
    written = {name: getattr(over, name) for name in PORT_BLOCKS + OTHER_BLOCKS}
    blocks = {name: value for name, value in written.items() if value is not None}
    for level in over.port_level_settings:
        if level.port is not None and level.port.number == port:
            blocks |= {name: getattr(level, name) for name in PORT_BLOCKS}
            break
    return base.model_copy(update=blocks)


KeySets = Mapping[str, str]
"""Where a JSON Web Key Set was fetched from -> its text; absent: never fetched, or too long ago."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies in force for one proxy: of the root namespace first, else oldest first.

    keys: the fetched key sets that they name. authorizers: provider -> host of its visible service. What is
    in neither must refuse requests. limits: on how often requests come. checks: rules of mixerd that requests
    wait for.
    """

    authorization: tuple[Resource[AuthorizationPolicy], ...] = ()
    authentication: tuple[Resource[RequestAuthentication], ...] = ()
    keys: KeySets = field(default_factory=dict)
    authorizers: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[Resource[RateLimit], ...] = ()
    checks: tuple[AskedRule, ...] = ()


NO_POLICIES = Policies()


@dataclass(frozen=True, slots=True)
class ProxyView:
    """The mesh as one proxy may see it. Complete: nothing is filled in later, empty means none.

    services: visible ones, by host name, in host order (scope of the Sidecar in force, exportTo).
    endpoints: instances by host, in a stable order. virtual_services: visible, oldest first, delegates
    inlined, hosts and destinations as full names, gateways as `<namespace>/<name>` or `mesh`.
    gateways: those whose selector matches this proxy (routers only), oldest first. destinations: by host,
    only hosts that a rule applies to. own: the services that this proxy's workload serves, with its ports.
    sidecar: the Sidecar resource in force, if any.
    inbound_mtls: this workload's mode. Server modes of others are already in `Endpoint.mtls`.
    envoy_filters: those that select this proxy, in no order that matters.
    proxy_configs: how it is to be started, the weakest first.
    policies: who may ask what of it; for proxies without any all the same object.
    bans: identities that nobody lets in. revoked: certificates that nobody lets in, by their serial names;
    for those who take no revocation lists (gRPC). drain: connections that were open before it changed end.
    reports: what it reports of its traffic, and to whom.
    """

    proxy: Proxy
    mesh: MeshConfig
    services: Mapping[str, Service]
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    virtual_services: Sequence[Resource[VirtualService]]
    gateways: Sequence[Resource[Gateway]]
    destinations: Mapping[str, Destination]
    own: tuple[Service, ...]
    sidecar: Resource[Sidecar] | None
    inbound_mtls: MtlsMode
    trust_domain: str
    envoy_filters: Sequence[Resource[EnvoyFilter]] = ()
    proxy_configs: Sequence[Resource[ProxyConfig]] = ()
    policies: Policies = NO_POLICIES
    bans: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    drain: str = ""
    reports: Reports = NO_REPORTS
