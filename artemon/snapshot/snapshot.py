"""The mesh at one instant, frozen, and views of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from artemon.errors import Problem
from artemon.model.egress import Gate
from artemon.model.gateway import Gateway
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import GRPC, Proxy, ProxyType
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.model.service import Endpoint, Service
from artemon.model.sidecar import Sidecar
from artemon.model.telemetry import Telemetry
from artemon.model.trust import Trust
from artemon.snapshot.auto_addresses import AutoAddresses, with_addresses
from artemon.snapshot.changes import NOWHERE, Position, ServiceKey
from artemon.snapshot.checks import AskedRules
from artemon.snapshot.credentials import Secrets
from artemon.snapshot.destinations import EMPTY, RuleBook, RuleSpace, destination, selected_rules
from artemon.snapshot.edge.derive import NOTHING, Derived
from artemon.snapshot.edge.known import WITHIN
from artemon.snapshot.envoy_filters import Filters, filters_for
from artemon.snapshot.gates import led_through
from artemon.snapshot.memo import Memo
from artemon.snapshot.mtls import Modes
from artemon.snapshot.ownership import Owners
from artemon.snapshot.policies import ByNamespace, policies_for
from artemon.snapshot.proxy_configs import Configs, configs_for
from artemon.snapshot.reports import Reports, reports_for
from artemon.snapshot.scope import (
    EVERYTHING,
    ByHost,
    imports,
    sidecar_for,
    visible_routes,
    visible_services,
)
from artemon.snapshot.view import Destination, KeySets, MtlsMode, Policies, ProxyView
from artemon.snapshot.virtual_services import Routes

T = TypeVar("T")
Instances = Mapping[ServiceKey, tuple[Endpoint, ...]]


@dataclass(frozen=True, slots=True)
class Config:
    """All of the mesh but its instances. A part that a change did not touch keeps its identity.

    Sequences are oldest first. services: by host, of one host the oldest first. modes: PeerAuthentications.
    gates: egress gateways in use. edge: what Kubernetes' objects of the edge come to (among the others).
    frames: views without instances, made once for each proxy.
    """

    mesh: MeshConfig
    domain: str
    services: ByHost
    owners: Owners
    virtual_services: tuple[Routes, ...]
    rules: Mapping[str, RuleSpace]
    gateways: tuple[Resource[Gateway], ...]
    sidecars: Mapping[str, tuple[Resource[Sidecar], ...]]
    modes: Modes
    envoy_filters: Mapping[str, Filters] = field(default_factory=dict)
    proxy_configs: Mapping[str, Configs] = field(default_factory=dict)
    authorization: ByNamespace = field(default_factory=dict)
    authentication: ByNamespace = field(default_factory=dict)
    limits: ByNamespace = field(default_factory=dict)
    checks: AskedRules = field(default_factory=dict)
    telemetry: Mapping[str, tuple[Resource[Telemetry], ...]] = field(default_factory=dict)
    keys: KeySets = field(default_factory=dict)
    secrets: Secrets = field(default_factory=dict, repr=False)
    gates: tuple[Gate, ...] = ()
    auto_addresses: AutoAddresses = field(default_factory=AutoAddresses, compare=False)
    trust: Trust = field(default_factory=Trust)
    edge: Derived = field(default=NOTHING, compare=False)
    frames: Memo = field(default_factory=Memo, compare=False)


class ScopedEndpoints(Mapping[str, tuple[Endpoint, ...]]):
    """The instances of visible services by host, read from the instances of all."""

    __slots__ = ("instances", "services")

    def __init__(self, services: Mapping[str, Service], instances: Instances) -> None:
        self.services = services
        self.instances = instances

    def __getitem__(self, host: str) -> tuple[Endpoint, ...]:
        return self.instances.get(ServiceKey(host, self.services[host].namespace), ())

    def __iter__(self) -> Iterator[str]:
        return iter(self.services)

    def __len__(self) -> int:
        return len(self.services)

    def changed_since(self, older: ScopedEndpoints, memo: Memo) -> list[str]:
        """The visible hosts whose instances are not the ones of `older`, for the same services."""
        changed = memo.get(changed_keys, older.instances, self.instances)
        seen = self.services
        return [host for host, namespace in changed if host in seen and seen[host].namespace == namespace]


def changed_keys(before: Instances, after: Instances) -> tuple[ServiceKey, ...]:
    """The services whose instances are not the same objects, those that are gone last."""
    if before is after:
        return ()
    changed = [key for key, found in after.items() if before.get(key) is not found]
    return (*changed, *(key for key in before if key not in after))


@dataclass(frozen=True, slots=True)
class Scope:
    """What proxies with the same eyes see in common."""

    services: Mapping[str, Service]
    virtual_services: tuple[Routes, ...]
    destinations: Mapping[str, Destination]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The mesh as of `position`. problems: what could not be read or used, by key of the registry.

    memo: results that views of this snapshot and of its successors share, scoped: those that end with it;
    they never change what views say.
    """

    config: Config
    instances: Instances
    position: Position = NOWHERE
    problems: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    memo: Memo = field(default_factory=Memo, compare=False)
    scoped: Memo = field(default_factory=Memo, compare=False)
    trust_read: Mapping[str, int] = field(default_factory=dict, compare=False)
    """How far each view of `trust/` had been read."""

    def view(self, proxy: Proxy) -> ProxyView:
        """What `proxy` sees. Equal parts of views are the same objects, also from snapshot to snapshot."""
        frame = self.config.frames.get(_frame, self.config, proxy, self.memo)
        return ProxyView(
            proxy=proxy,
            mesh=self.config.mesh,
            services=frame.scope.services,
            endpoints=self.scoped.get(ScopedEndpoints, frame.scope.services, self.instances),
            virtual_services=frame.scope.virtual_services,
            gateways=frame.gateways,
            destinations=frame.scope.destinations,
            own=frame.own,
            sidecar=frame.sidecar,
            inbound_mtls=frame.inbound_mtls,
            trust_domain=self.config.mesh.trust_domain,
            envoy_filters=frame.envoy_filters,
            proxy_configs=frame.proxy_configs,
            policies=frame.policies,
            reports=frame.reports,
            bans=self.config.trust.bans,
            revoked=self.config.trust.serial_names if proxy.generator == GRPC else (),
            drain=self.config.trust.drain,
        )


@dataclass(frozen=True, slots=True)
class _Frame:
    """A view without instances."""

    scope: Scope
    gateways: tuple[Resource[Gateway], ...]
    own: tuple[Service, ...]
    sidecar: Resource[Sidecar] | None
    inbound_mtls: MtlsMode
    envoy_filters: Filters
    proxy_configs: Configs
    policies: Policies
    reports: Reports


def _frame(config: Config, proxy: Proxy, memo: Memo) -> _Frame:
    sidecar: Resource[Sidecar] | None = None
    gateways: tuple[Resource[Gateway], ...] = ()
    if proxy.type is ProxyType.SIDECAR:
        sidecars, root = config.sidecars, config.mesh.root_namespace
        sidecar = sidecar_for(proxy.labels, sidecars.get(proxy.namespace, ()), sidecars.get(root, ()))
    else:
        gateways = tuple(one for one in config.gateways if _serves(proxy, one))
    selected = selected_rules(config.rules.get(proxy.namespace, EMPTY), proxy.labels)
    seen = scope(
        config,
        memo,
        sidecar,
        namespace=proxy.namespace,
        selected=selected,
        serves=frozenset(f"{one.meta.namespace}/{one.meta.name}" for one in gateways),
        addressed=proxy.captures_dns and proxy.intercepts,
    )
    own = config.owners.of(proxy, config.domain)
    return _Frame(
        scope=seen,
        gateways=gateways,
        own=own,
        sidecar=sidecar,
        inbound_mtls=config.modes.of(proxy.namespace, proxy.labels),
        envoy_filters=filters_for(config.envoy_filters, proxy, config.mesh.root_namespace, memo),
        proxy_configs=configs_for(config.proxy_configs, proxy, config.mesh.root_namespace, memo),
        policies=policies_for(
            config.authorization,
            config.authentication,
            proxy,
            limits=config.limits,
            checks=config.checks,
            own=own,
            services=seen.services,
            mesh=config.mesh,
            keys=config.keys,
            memo=memo,
        ),
        reports=reports_for(
            config.telemetry, proxy, own=own, services=seen.services, mesh=config.mesh, memo=memo
        ),
    )


def _serves(proxy: Proxy, gateway: Resource[Gateway]) -> bool:
    """Whether a router runs a Gateway."""
    within = gateway.meta.annotations.get(WITHIN, proxy.namespace)
    return within == proxy.namespace and matches(gateway.spec.selector, proxy.labels)


def scope(
    config: Config,
    memo: Memo,
    sidecar: Resource[Sidecar] | None,
    *,
    namespace: str,
    selected: frozenset[str] = frozenset(),
    serves: frozenset[str] = frozenset(),
    addressed: bool = False,
) -> Scope:
    """What proxies of `namespace` under `sidecar` see, for whom the `selected` DestinationRules are, that
    serve the Gateways `serves`. addressed: whether virtual addresses lead to them: they answer their
    applications' DNS and catch what goes there."""
    export = config.mesh.default_virtual_service_export_to
    routes = memo.get(visible_routes, config.virtual_services, sidecar, by=(namespace, export))
    sending = routes if imports(sidecar) != (EVERYTHING,) else ()
    services = _one_of_equals(
        memo, memo.get(visible_services, config.services, sending, sidecar, by=(namespace,))
    )
    if config.gates:
        doors = [config.services[gate.host][0] for gate in config.gates]
        here = serves & {gate.ref for gate in config.gates}
        services = memo.get(led_through, services, memo, *doors, by=(config.gates, here))
    if addressed:
        found = memo.get(with_addresses, services, config.auto_addresses, memo)
        services = _one_of_equals(memo, found)
    client = (namespace, config.mesh.root_namespace, selected, config.mesh.default_destination_rule_export_to)
    rules = _one_of_equals(memo, memo.get(_destinations, config.rules, services, memo, by=(client,)))
    return memo.get(Scope, services, _one_sequence(memo, routes), rules)


def _one_of_equals(memo: Memo, found: Mapping[str, T]) -> Mapping[str, T]:
    """The same object for all mappings of equal names to the same objects: most namespaces see the same."""
    return memo.get(_shared_mapping, found, memo)


def _shared_mapping(found: Mapping[str, T], memo: Memo) -> Mapping[str, T]:
    return memo.get(_mapping, *found.values(), by=tuple(found))


def _mapping(*values_then_names: Any) -> dict[str, Any]:
    half = len(values_then_names) // 2
    return dict(zip(values_then_names[half:], values_then_names[:half], strict=True))


def _one_sequence(memo: Memo, found: tuple[Routes, ...]) -> tuple[Routes, ...]:
    """The same object for all sequences of the same objects."""
    return memo.get(_shared_sequence, found, memo)


def _shared_sequence(found: tuple[Routes, ...], memo: Memo) -> tuple[Routes, ...]:
    return memo.get(_sequence, *found)


def _sequence(*parts: Routes) -> tuple[Routes, ...]:
    return parts


Client = tuple[str, str, frozenset[str], tuple[str, ...]]
"""What of a client decides its DestinationRules: the last four fields of RuleBook."""


def _destinations(
    spaces: Mapping[str, RuleSpace], services: Mapping[str, Service], memo: Memo, client: Client
) -> dict[str, Destination]:
    book = RuleBook(spaces, *client)
    found = ((host, book.rules(host, service.namespace)) for host, service in services.items())
    return {host: destination(memo, host, rules) for host, rules in found if rules}
