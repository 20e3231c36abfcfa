"""Service discovery of the mesh itself: ServiceEntry, WorkloadEntry and joined workloads to services.

Pure conversion; sources that need I/O live in `artemon.registry` and deliver the same values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from artemon.errors import Problem, Refused
from artemon.model.canonical import canonical_name
from artemon.model.egress import EGRESS_GATEWAY, Egress
from artemon.model.hosts import owner_namespace, service_host
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import WorkloadPort
from artemon.model.resource import Resource
from artemon.model.service import Endpoint, Health, Port, Protocol, Resolution, Service
from artemon.model.service_entry import ServiceEntry
from artemon.model.workload import Workload
from artemon.model.workload_entry import WorkloadEntry

TLS_MODE_LABEL = "security.istio.io/tlsMode"
LOCALITY_LABEL = "istio-locality"
SERVICE_TAG = ""
"""Joined workloads carry the service that they registered under this name, which no label can have."""

ENTRIES, JOINED, GATES, REGISTERED = 0, 1, 2, 3
"""Ranks of sources: a ServiceEntry takes precedence over what joined workloads declare, and both over what
other registries know (which have ranks from this one on); the proxies of egress gateways are nobody's
service."""


@dataclass(frozen=True, slots=True)
class Source:
    """What makes services exist: one ServiceEntry, or the joined workloads that registered one service.

    services: one for each host, all with the same ports. selector: tags of the workloads of `namespace` that
    are its instances; None: only `inline`. selects_pods: also of its pods. claims: whether a proxy with the
    address of an inline instance serves it.
    """

    id: str
    namespace: str
    services: tuple[Service, ...]
    rank: int
    selector: Mapping[str, str] | None = None
    inline: tuple[Endpoint, ...] = ()
    problems: tuple[Problem, ...] = ()
    claims: bool = True
    selects_pods: bool = True

    def service(self, host: str) -> Service:
        """The service with this host, which must be one of `services`."""
        return next(one for one in self.services if one.host == host)


def from_service_entry(entry: Resource[ServiceEntry], mesh: MeshConfig, domain: str) -> Source:
    """The services of a ServiceEntry. Hosts that belong to other namespaces are left out and reported.
    Raises Refused when a protocol is unknown."""
    spec, meta = entry.spec, entry.meta
    ports = _ports(spec)
    hosts, problems = _own_hosts(spec.hosts, meta.namespace, domain)
    export = spec.export_to or mesh.default_service_export_to or ("*",)
    services = tuple(
        Service(
            host=host,
            namespace=meta.namespace,
            ports=ports,
            resolution=Resolution(spec.resolution),
            addresses=spec.addresses,
            mesh_external=spec.location == "MESH_EXTERNAL",
            export_to=tuple(meta.namespace if name == "." else name for name in export),
            subject_alt_names=spec.subject_alt_names,
            labels=meta.labels,
            created=meta.created,
            source=entry.ref,
            egress=Egress(meta.annotations[EGRESS_GATEWAY]) if EGRESS_GATEWAY in meta.annotations else None,
        )
        for host in hosts
    )
    external = spec.location == "MESH_EXTERNAL"
    return Source(
        id=entry.ref,
        namespace=meta.namespace,
        services=services,
        rank=ENTRIES,
        selector=None if spec.workload_selector is None else spec.workload_selector.labels,
        inline=tuple(from_entry(one, meta.namespace, ports, external=external) for one in spec.endpoints),
        problems=problems,
    )


def _ports(spec: ServiceEntry) -> tuple[Port, ...]:
    ports: list[Port] = []
    problems: list[Problem] = []
    for index, port in enumerate(spec.ports):
        try:
            protocol = Protocol.parse(port.protocol)
        except ValueError:
            message = f'"{port.protocol}" is not a protocol'
            problems.append(Problem(f"spec.ports[{index}].protocol", message))
            continue
        ports.append(Port(port.number, port.name, protocol, port.target_port))
    if problems:
        raise Refused(problems)
    return tuple(ports)


def _own_hosts(
    hosts: Iterable[str], namespace: str, domain: str
) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    own: list[str] = []
    problems: list[Problem] = []
    for index, host in enumerate(hosts):
        owner = owner_namespace(host, domain)
        if owner and owner != namespace:
            message = f'"{host}" belongs to namespace {owner}; define it there, it is ignored here'
            problems.append(Problem(f"spec.hosts[{index}]", message, "warning"))
        else:
            own.append(host.lower())
    return tuple(dict.fromkeys(own)), tuple(problems)


def from_joined(
    namespace: str, service: str, declared: Iterable[WorkloadPort], mesh: MeshConfig, domain: str
) -> Source:
    """The service that joined workloads registered, with every port that one of them declares. Where they
    disagree about what a number or a name means, the first in the order of number, name, protocol and
    listening port counts."""
    ports: dict[int, Port] = {}
    names: set[str] = set()
    for port in sorted(declared, key=lambda p: (p.number, p.name, p.protocol, p.listen_port)):
        if port.number not in ports and port.name not in names:
            ports[port.number] = Port(port.number, port.name, port.protocol, port.listen_port)
            names.add(port.name)
    host = service_host(service, namespace, domain)
    export = mesh.default_service_export_to or ("*",)
    one = Service(
        host=host,
        namespace=namespace,
        ports=tuple(ports.values()),
        export_to=tuple(namespace if name == "." else name for name in export),
        source="Workload",
    )
    return Source(
        id=f"Workload/{namespace}/{service}",
        namespace=namespace,
        services=(one,),
        rank=JOINED,
        selector={SERVICE_TAG: service},
    )


def from_entry(
    entry: WorkloadEntry,
    namespace: str,
    ports: Iterable[Port],
    *,
    external: bool = False,
    health: Health = Health.HEALTHY,
    name: str = "",
) -> Endpoint:
    """An instance that a WorkloadEntry describes. Mutual TLS ends there when its label says so, or when it
    has a service account (only workloads of the mesh have one). name: of the WorkloadEntry."""
    mode = entry.labels.get(TLS_MODE_LABEL, "istio" if entry.service_account else "")
    return Endpoint(
        address=entry.address,
        namespace=namespace,
        ports={port.name: entry.ports.get(port.name) or port.target_port or port.number for port in ports},
        labels=entry.labels,
        service_account=entry.service_account,
        locality=entry.locality or entry.labels.get(LOCALITY_LABEL, "").replace(".", "/"),
        network=entry.network,
        weight=entry.weight or 1,
        health=health,
        mtls=mode == "istio" and not external,
        workload="" if external else name or canonical_name("", entry.labels),
    )


def from_workload(workload: Workload, ports: Iterable[Port], *, external: bool = False) -> Endpoint:
    """An instance that joined. It listens for a service port where it declared that port, by name, number or
    the port's target; one that declared others only does not serve it (0), unless it is a WorkloadEntry."""
    by_name = {port.name: port.listen_port for port in workload.ports}
    by_number = {port.number: port.listen_port for port in workload.ports}
    listening = set(by_name.values())

    def listen_port(port: Port) -> int:
        target = port.target_port or port.number
        declared = by_name.get(port.name) or by_number.get(port.number)
        return declared or (target if target in listening or not listening or workload.entry else 0)

    return Endpoint(
        address=workload.address,
        namespace=workload.namespace,
        ports=_shared(tuple((port.name, listen_port(port)) for port in ports)),
        labels=workload.labels,
        service_account=workload.service_account,
        locality=workload.locality,
        network=workload.network,
        weight=workload.weight,
        health=workload.health,
        mtls=workload.mtls and not external,
        node=workload.node,
        workload=workload.name or workload.service,
        cluster=workload.cluster,
    )


def entry_health(entry: Resource[WorkloadEntry]) -> Health:
    """What the conditions of a WorkloadEntry say: unhealthy only when `Healthy` is there and not true."""
    conditions = entry.status.get("conditions") or ()
    states = {one.get("type"): one.get("status") for one in conditions if isinstance(one, Mapping)}
    return Health.HEALTHY if states.get("Healthy", "True") == "True" else Health.UNHEALTHY


@lru_cache(maxsize=4096)
def _shared(ports: tuple[tuple[str, int], ...]) -> Mapping[str, int]:
    """One object for all instances that listen on the same ports."""
    return dict(ports)
