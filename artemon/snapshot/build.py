"""From the world to a snapshot: what changes touched is made anew, the rest is shared with the one before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from artemon.model.hosts import DEFAULT_DOMAIN
from artemon.model.kinds import (
    EDGE_KINDS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    INGRESS,
    KUBERNETES_GATEWAY,
    REFERENCE_GRANT,
)
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Resource
from artemon.model.secret import Secret
from artemon.model.service import Endpoint, Port, Resolution, Service
from artemon.model.trust import Trust
from artemon.snapshot.auto_addresses import AutoAddresses
from artemon.snapshot.changes import KEY_SET, MESH, SECRET, TRUST, ChangeSet, ServiceKey
from artemon.snapshot.checks import asked_rules
from artemon.snapshot.delegates import inlined
from artemon.snapshot.destinations import rule_spaces
from artemon.snapshot.edge.derive import NOTHING, Derived, derive
from artemon.snapshot.edge.known import Known, Objects
from artemon.snapshot.memo import Memo
from artemon.snapshot.mtls import Modes
from artemon.snapshot.ownership import Owners, owners
from artemon.snapshot.services import Source
from artemon.snapshot.snapshot import Config, Instances, Snapshot, changed_keys
from artemon.snapshot.virtual_services import full_names
from artemon.snapshot.world import World


def empty(*, domain: str = DEFAULT_DOMAIN) -> Snapshot:
    """A mesh without anything in it."""
    config = Config(
        mesh=MeshConfig(),
        domain=domain,
        services={},
        owners=Owners(),
        virtual_services=(),
        rules={},
        gateways=(),
        sidecars={},
        modes=Modes(root=MeshConfig().root_namespace),
    )
    return Snapshot(config, {})


def build(world: World, previous: Snapshot | None = None, changes: ChangeSet | None = None) -> Snapshot:
    """The snapshot of `world`: equal to one built from nothing, whatever `previous` and `changes` are,
    as long as `changes` holds all that happened since `previous`."""
    if previous is None or changes is None:
        previous, changes = empty(domain=world.domain), world.everything()
    config = _config(world, previous.config, changes, previous.memo)
    touched = changes.services
    if config.modes is not previous.config.modes:
        touched = touched | previous.instances.keys()
    instances = _instances(world, previous.instances, touched, config.modes, previous.memo)
    if config is not previous.config:
        previous.memo.turn()
    return Snapshot(
        config,
        instances,
        world.position,
        dict(world.problems),
        previous.memo,
        trust_read=dict(world.trust_read),
    )


def _config(world: World, before: Config, changes: ChangeSet, memo: Memo) -> Config:
    updates: dict[str, Any] = {
        name: make(world, memo) for name, (kinds, make) in _INDEXES.items() if changes.kinds & kinds
    }
    if changes.services and not changes.endpoints_only:
        updates |= _services(world, before, changes)
    elif changes.claimed:
        found = owners(before.owners, before.owners.services, changes.services, world.sources)
        updates |= {} if found is before.owners else {"owners": found}
    updates |= _edge(world, replace(before, **updates), changes, memo)
    return replace(before, **updates, frames=Memo()) if updates else before


def oldest_first(resources: Iterable[Resource[Any]]) -> list[Resource[Any]]:
    """By age, then name and namespace."""
    return sorted(resources, key=lambda one: (one.meta.created, one.meta.name, one.meta.namespace))


def _by_namespace(resources: Iterable[Resource[Any]]) -> dict[str, tuple[Resource[Any], ...]]:
    found: defaultdict[str, list[Resource[Any]]] = defaultdict(list)
    for one in oldest_first(resources):
        found[one.meta.namespace].append(one)
    return {namespace: tuple(many) for namespace, many in sorted(found.items())}


def _objects(world: World, kind: str) -> Iterable[Resource[Any]]:
    return world.resources(kind).values()


def _edge(world: World, config: Config, changes: ChangeSet, memo: Memo) -> dict[str, Any]:
    """Gateways and VirtualServices, also those that Kubernetes' own objects of the edge come to."""
    derived = config.edge
    touched = changes.kinds & _EDGE or (derived is not NOTHING and not changes.endpoints_only)
    if touched and any(world.resources(kind) for kind in _EDGE):
        derived = derive(_edge_objects(world), _known(world, config), derived)
    elif touched:
        derived = NOTHING
    updates: dict[str, Any] = {} if derived is config.edge else {"edge": derived}
    if changes.kinds & {"VirtualService", MESH} or derived.routes is not config.edge.routes:
        updates["virtual_services"] = _virtual_services(world, derived, memo)
    if "Gateway" in changes.kinds or derived.gateways is not config.edge.gateways:
        updates["gateways"] = tuple(oldest_first([*_objects(world, "Gateway"), *derived.gateways]))
    return updates


_EDGE = frozenset(kind.unique for kind in EDGE_KINDS)


def _edge_objects(world: World) -> Objects:
    kinds = (INGRESS, KUBERNETES_GATEWAY, HTTP_ROUTE, REFERENCE_GRANT, GRPC_ROUTE)
    return Objects(*(oldest_first(_objects(world, kind.unique)) for kind in kinds))


def _known(world: World, config: Config) -> Known:
    def service(host: str) -> Service | None:
        return next(iter(config.services.get(host, ())), None)

    def selector(host: str) -> Mapping[str, str] | None:
        found = service(host)
        sources = world.sources(ServiceKey(host, found.namespace)) if found else []
        return next((one.selector for one in sources if one.selector), None)

    return Known(world.mesh, world.domain, service, selector, world.namespaces)


def _virtual_services(world: World, derived: Derived, memo: Memo) -> tuple[Resource[Any], ...]:
    every = oldest_first([*_objects(world, "VirtualService"), *derived.routes])
    named = [memo.get(full_names, one, by=(world.domain,)) for one in every]
    return inlined(memo, named, world.mesh.default_virtual_service_export_to)


def _secrets(world: World, _: Memo) -> dict[str, dict[str, Secret]]:
    found: defaultdict[str, dict[str, Secret]] = defaultdict(dict)
    for one in world.secrets.values():
        found[one.namespace][one.name] = one
    return dict(found)


def _modes(world: World, _: Memo) -> Modes:
    return Modes(world.mesh.root_namespace, _by_namespace(_objects(world, "PeerAuthentication")))


Index = tuple[frozenset[str], Callable[[World, Memo], Any]]


def _spaces(kind: str) -> Index:
    """The objects of one kind by namespace."""
    return frozenset({kind}), lambda world, _: _by_namespace(_objects(world, kind))


_INDEXES: dict[str, Index] = {
    "mesh": (frozenset({MESH}), lambda world, _: world.mesh),
    "rules": (
        frozenset({"DestinationRule"}),
        lambda world, _: rule_spaces(oldest_first(_objects(world, "DestinationRule")), world.domain),
    ),
    "gates": (frozenset({"Gateway", "ServiceEntry"}), lambda world, _: world.gates.open(world.domain)),
    "auto_addresses": (
        frozenset({"ServiceEntry"}),
        lambda world, _: AutoAddresses(_objects(world, "ServiceEntry")),
    ),
    "sidecars": _spaces("Sidecar"),
    "secrets": (frozenset({SECRET}), _secrets),
    "modes": (frozenset({"PeerAuthentication", MESH}), _modes),
    "authorization": _spaces("AuthorizationPolicy"),
    "authentication": _spaces("RequestAuthentication"),
    "limits": _spaces("RateLimit"),
    "checks": (
        frozenset({"rule", "instance"}),
        lambda world, _: asked_rules(_objects(world, "rule"), _objects(world, "instance")),
    ),
    "telemetry": _spaces("Telemetry"),
    "keys": (frozenset({KEY_SET}), lambda world, _: dict(world.keys)),
    "trust": (frozenset({TRUST}), lambda world, _: Trust.of(world.trust)),
    "proxy_configs": _spaces("ProxyConfig"),
    "envoy_filters": _spaces("EnvoyFilter"),
}
"""Part of Config -> the kinds that it is made of, and how."""


def _services(world: World, before: Config, changes: ChangeSet) -> dict[str, Any]:
    """The indexes of services, those that are equal to the ones before being the same objects."""
    services = dict(before.owners.services)
    for key in changes.services:
        found = _merged(world.sources(key), key.host)
        if found is None:
            services.pop(key, None)
        elif services.get(key) != found:
            services[key] = found
    updates: dict[str, Any] = {"owners": owners(before.owners, services, changes.services, world.sources)}
    hosts = {key.host for key in changes.services if services.get(key) is not before.owners.services.get(key)}
    if hosts:
        updates["services"] = _by_host(services, before.services, hosts)
    return updates


def _by_host(
    services: Mapping[ServiceKey, Service], before: Mapping[str, tuple[Service, ...]], hosts: set[str]
) -> dict[str, tuple[Service, ...]]:
    found: defaultdict[str, list[Service]] = defaultdict(list)
    for service in services.values():
        if service.host in hosts:
            found[service.host].append(service)
    index = {host: many for host, many in before.items() if host not in hosts}
    for host, many in found.items():
        index[host] = tuple(sorted(many, key=lambda one: (one.created, one.namespace)))
    return dict(sorted(index.items()))


def _contributing(sources: list[Source]) -> list[Source]:
    """Of the sources of one service, the first and those that add to it: same rank and resolution."""
    return [
        one
        for one in sources
        if one.rank == sources[0].rank
        and one.services[0].resolution == sources[0].services[0].resolution
        and one.services[0].mesh_external == sources[0].services[0].mesh_external
    ]


def _merged(sources: list[Source], host: str) -> Service | None:
    """The service that sources define together: the first one's, with the ports that others add."""
    if not sources:
        return None
    services = [one.service(host) for one in _contributing(sources)]
    ports: dict[int, Port] = {}
    for service in services:
        for port in service.ports:
            taken = port.number in ports or any(port.name == other.name for other in ports.values())
            if not taken:
                ports[port.number] = port
    return replace(services[0], ports=tuple(ports.values()))


def _instances(
    world: World, before: Instances, touched: Iterable[ServiceKey], modes: Modes, memo: Memo
) -> dict[ServiceKey, tuple[Endpoint, ...]]:
    """Instances of every service; those that did not change are the same objects as before. memo: is told
    which did."""
    instances, changed, gone = dict(before), list[ServiceKey](), list[ServiceKey]()
    for key in touched:
        sources = world.sources(key)
        found = tuple(
            modes.apply(one) for each in _contributing(sources) for one in _of(world, each, key.host)
        )
        if not sources:
            gone += [key] if instances.pop(key, None) is not None else []
        elif instances.get(key) != found:
            instances[key] = found
            changed.append(key)
    memo.know(changed_keys, before, instances, result=(*changed, *gone))
    return instances


def _of(world: World, source: Source, host: str) -> tuple[Endpoint, ...]:
    """The instances of one source; a DNS service without any is found by its own name."""
    service = source.service(host)
    found = world.membership.instances(source.id)
    if found or source.selector is not None or service.resolution not in _BY_NAME or host.startswith("*"):
        return found
    ports = {port.name: port.target_port or port.number for port in service.ports}
    return (Endpoint(address=host, namespace=source.namespace, ports=ports),)


_BY_NAME = frozenset({Resolution.DNS, Resolution.DNS_ROUND_ROBIN})
