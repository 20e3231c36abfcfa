"""What an object names and nobody has: gateways, subsets, hosts, ways out, authorizers; what a policy cannot
see where it is in force. Warnings, for it may come later.

Istio's outcome stands meanwhile: no route from a gateway that is not there, 503 from a subset or host.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from artemon.errors import Problem
from artemon.model import kinds
from artemon.model.destination_rule import DestinationRule
from artemon.model.egress import EGRESS_GATEWAY
from artemon.model.hosts import DEFAULT_DOMAIN, covers, resolve
from artemon.model.mesh_config import MeshConfig
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.service_entry import ServiceEntry
from artemon.model.virtual_service import Destination, VirtualService
from artemon.validate.exposure import TcpPort
from artemon.validate.policy_reach import unmet

MESH = "mesh"
_SHOWN = 8


class Known(Protocol):
    """What there is. whole: whether a host without any DestinationRule listed has none."""

    @property
    def whole(self) -> bool: ...

    def gateways(self) -> Collection[str] | None:
        """`<namespace>/<name>` of all Gateways; None when they are not known."""

    def subsets(self) -> Mapping[str, Collection[str]] | None:
        """Full host (or pattern) of each DestinationRule -> names of its subsets; None: not known."""

    def hosts(self) -> Collection[str] | None:
        """Hosts of ServiceEntries; None when they are not known."""

    def tcp_ports(self) -> Collection[TcpPort] | None:
        """Ports of workloads that speak TCP; None when they are not known."""

    def secrets(self) -> Collection[tuple[str, str]] | None:
        """Namespace and name of every Secret; None when they are not known."""

    def way_out(self, gateway: str) -> str:
        """What an egress Gateway that is there lacks; nothing when it lacks nothing or that is not known."""

    def mesh(self) -> MeshConfig | None:
        """MeshConfig; None when it is not known."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A destination in a rule, and where it is written."""

    path: str
    target: Destination


def dangling(resource: Resource[Message], known: Known, *, domain: str = DEFAULT_DOMAIN) -> Iterator[Problem]:
    """A warning for each reference of an object to what is not there."""
    find = _FINDERS.get(resource.kind.unique)
    if find is not None:
        yield from (Problem(path, text, "warning") for path, text in find(resource, known, domain))


Found = Iterator[tuple[str, str]]


def _virtual_service(resource: Resource[Any], known: Known, domain: str) -> Found:
    spec: VirtualService = resource.spec
    namespace, gateways = resource.meta.namespace, known.gateways()
    for index, name in enumerate(spec.gateways if gateways is not None else ()):
        full = name if "/" in name or name == MESH else f"{namespace}/{name}"
        if full != MESH and full not in (gateways or ()):
            yield f"spec.gateways[{index}]", f"there is no Gateway {full}; nothing is routed from there"
    for place in _places(spec):
        host = resolve(place.target.host, namespace, domain=domain)
        yield from _destination(place, host, known, domain)


def _destination(place: _Place, host: str, known: Known, domain: str) -> Found:
    if not _is_known(host, known, domain):
        yield f"{place.path}.host", f'no ServiceEntry has the host "{host}"; calls get 503'
    subset, rules = place.target.subset, known.subsets()
    if not subset or rules is None:
        return
    speaking = [names for pattern, names in rules.items() if covers(pattern, host)]
    if not speaking and not known.whole:
        return
    names = {name for many in speaking for name in many}
    if subset not in names:
        listed = ", ".join(sorted(names)[:_SHOWN]) or "none"
        text = f'"{subset}" is not a subset of {host} (known: {listed}); calls get 503'
        yield f"{place.path}.subset", text


def _places(spec: VirtualService) -> Iterator[_Place]:
    lists: dict[str, Sequence[Any]] = {"http": spec.http, "tls": spec.tls, "tcp": spec.tcp}
    for kind, routes in lists.items():
        for index, route in enumerate(routes):
            for number, one in enumerate(route.route):
                if one.destination is not None:
                    yield _Place(f"spec.{kind}[{index}].route[{number}].destination", one.destination)
    for index, http in enumerate(spec.http):
        if http.mirror is not None:
            yield _Place(f"spec.http[{index}].mirror", http.mirror)
        for number, copy in enumerate(http.mirrors):
            if copy.destination is not None:
                yield _Place(f"spec.http[{index}].mirrors[{number}].destination", copy.destination)


def _is_known(host: str, known: Known, domain: str) -> bool:
    """Hosts of the mesh's own domain can be of workloads that join, and count as known."""
    hosts = known.hosts()
    if hosts is None or host.endswith(f".svc.{domain}") or "." not in host:
        return True
    return any(covers(one, host) or covers(host, one) for one in hosts)


def _destination_rule(resource: Resource[Any], known: Known, domain: str) -> Found:
    spec: DestinationRule = resource.spec
    host = resolve(spec.host, resource.meta.namespace, domain=domain)
    if not _is_known(host, known, domain):
        yield "spec.host", f'no ServiceEntry has the host "{host}"; the rule has no effect'


def _service_entry(resource: Resource[Any], known: Known, _: str) -> Found:
    spec: ServiceEntry = resource.spec
    wanted, gateways = resource.meta.annotations.get(EGRESS_GATEWAY), known.gateways()
    if not wanted or gateways is None or not spec.hosts:
        return
    lack = known.way_out(wanted) if wanted in gateways else f"there is no Gateway {wanted}"
    if lack:
        yield f"metadata.annotations[{EGRESS_GATEWAY}]", f"{lack}; nobody gets out"


def _gateway(resource: Resource[Any], known: Known, _: str) -> Found:
    """Credentials without a Secret. It lies where the gateway's proxies are, which need not be here."""
    spec, secrets = resource.spec, known.secrets()
    there = {name for _, name in secrets or ()}
    for index, server in enumerate(spec.servers if secrets is not None else ()):
        tls = server.tls
        listed = [("credentialName", tls.credential_name)] if tls else []
        several = enumerate(tls.credential_names if tls else ())
        listed += [(f"credentialNames[{number}]", one) for number, one in several]
        for field, written in listed:
            scheme, _, rest = written.rpartition("://")
            name = rest.rpartition("/")[2]
            if name and scheme in _OF_SECRETS and name not in there:
                yield f"spec.servers[{index}].tls.{field}", _ABSENT.format(name)


_OF_SECRETS = ("", "kubernetes", "kubernetes-gateway")
_ABSENT = 'no namespace has a Secret "{}"; connections to this server are refused until it is there'


def _authorization_policy(resource: Resource[Any], known: Known, _: str) -> Found:
    ports = known.tcp_ports()
    yield from unmet(resource, ports if ports is not None else (), known.mesh())


def _telemetry(resource: Resource[Any], known: Known, _: str) -> Found:
    mesh, spec = known.mesh(), resource.spec
    names = {one.name for one in mesh.extension_providers} if mesh is not None else None
    lists = {"metrics": spec.metrics, "accessLogging": spec.access_logging, "tracing": spec.tracing}
    for kind, entries in lists.items() if names is not None else ():
        for index, entry in enumerate(entries):
            for number, provider in enumerate(entry.providers):
                if provider.name and provider.name not in (names or ()):
                    path = f"spec.{kind}[{index}].providers[{number}].name"
                    yield path, f'MeshConfig has no extension provider "{provider.name}"; it is told nothing'


_FINDERS: Mapping[str, Callable[[Resource[Any], Known, str], Found]] = MappingProxyType(
    {
        kinds.VIRTUAL_SERVICE.name: _virtual_service,
        kinds.DESTINATION_RULE.name: _destination_rule,
        kinds.SERVICE_ENTRY.name: _service_entry,
        kinds.GATEWAY.name: _gateway,
        kinds.AUTHORIZATION_POLICY.name: _authorization_policy,
        kinds.TELEMETRY_KIND.name: _telemetry,
    }
)
