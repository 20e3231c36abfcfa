"""What the objects of a write name and nobody has: warnings, told to whoever writes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from artemon.model.hosts import DEFAULT_DOMAIN, resolve
from artemon.model.kinds import DESTINATION_RULE, GATEWAY, SERVICE_ENTRY, WORKLOAD_ENTRY
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Kind, Resource
from artemon.model.selector import matches
from artemon.model.tolerant import decode_tolerantly
from artemon.model.workload import Workload
from artemon.snapshot.gates import gate_of
from artemon.validate.exposure import TcpPort, tcp_ports
from artemon.validate.references import dangling
from galleyd.around import Around
from galleyd.edits import Plan
from galleyd.objects import Object, Stored, meta_of

Stock = Callable[[Kind], Sequence[Stored]]


@dataclass
class Everything:
    """The objects in the registry as they will be after a write, each kind read when it is asked for.

    Nothing but names is read of them: a decoded object takes a hundred times as long.
    """

    stock: Stock
    plans: Sequence[Plan]
    around: Around
    whole: bool = True

    def objects(self, kind: Kind) -> list[Object]:
        """All of a kind."""
        written = [plan.outcome for plan in self.plans if plan.outcome.ref.kind is kind]
        touched = {_key(outcome.stored.object) for outcome in written}
        kept = [one.object for one in self.stock(kind) if _key(one.object) not in touched]
        return [*kept, *(outcome.stored.object for outcome in written if outcome.result != "deleted")]

    @cached_property
    def _gateways(self) -> Collection[str]:
        return {_key(obj) for obj in self.objects(GATEWAY)}

    @cached_property
    def _hosts(self) -> Collection[str]:
        return {str(host).lower() for obj in self.objects(SERVICE_ENTRY) for host in _listed(obj, "hosts")}

    @cached_property
    def _subsets(self) -> Mapping[str, Collection[str]]:
        found: dict[str, set[str]] = {}
        for obj in self.objects(DESTINATION_RULE):
            host = resolve(str(_spec(obj).get("host") or ""), str(meta_of(obj).get("namespace")))
            names = (str(one.get("name")) for one in _listed(obj, "subsets") if isinstance(one, Mapping))
            found.setdefault(host, set()).update(names)
        return found

    def gateways(self) -> Collection[str]:
        """`<namespace>/<name>` of all Gateways."""
        return self._gateways

    def subsets(self) -> Mapping[str, Collection[str]]:
        """Host of each DestinationRule -> names of its subsets."""
        return self._subsets

    def hosts(self) -> Collection[str]:
        """Hosts of ServiceEntries."""
        return self._hosts

    def secrets(self) -> Collection[tuple[str, str]] | None:
        """Namespace and name of every Secret."""
        return self._secrets

    def way_out(self, gateway: str) -> str:
        """What an egress Gateway that is there lacks: a server to come in by, or anybody who runs it."""
        found = next((obj for obj in self.objects(GATEWAY) if _key(obj) == gateway), None)
        resource: Resource[Any] | None = decode_tolerantly(found).resource if found is not None else None
        if resource is None:
            return ""
        if gate_of(resource, DEFAULT_DOMAIN) is None:
            return f"Gateway {gateway} has no server that ends ISTIO_MUTUAL"
        selector, namespace = resource.spec.selector, resource.meta.namespace
        running = any(matches(selector, labels) for labels in self._labels(namespace))
        return "" if running else f"no proxy that Gateway {gateway} selects has joined in {namespace}"

    def _labels(self, namespace: str) -> Iterator[Mapping[str, str]]:
        """The labels of all that can be a proxy in a namespace."""
        yield from (one.labels for one in self._workloads if one.namespace == namespace)
        for obj in self.objects(WORKLOAD_ENTRY):
            if meta_of(obj).get("namespace") == namespace:
                yield _texts(_spec(obj).get("labels"))
        for obj in self.objects(SERVICE_ENTRY):
            if meta_of(obj).get("namespace") == namespace:
                endpoints = (one for one in _listed(obj, "endpoints") if isinstance(one, Mapping))
                yield from (_texts(one.get("labels")) for one in endpoints)

    def mesh(self) -> MeshConfig | None:
        """MeshConfig as it was last seen."""
        return self._mesh

    @cached_property
    def _secrets(self) -> Collection[tuple[str, str]] | None:
        return self.around.secrets()

    @cached_property
    def _mesh(self) -> MeshConfig | None:
        return self.around.mesh()

    @cached_property
    def _workloads(self) -> Sequence[Workload]:
        return tuple(self.around.workloads())

    @cached_property
    def _tcp_ports(self) -> Collection[TcpPort]:
        entries, machines = self.objects(SERVICE_ENTRY), self.objects(WORKLOAD_ENTRY)
        return tuple(tcp_ports(entries, machines, self._workloads))

    def tcp_ports(self) -> Collection[TcpPort]:
        """Ports of workloads that speak TCP."""
        return self._tcp_ports


@dataclass(frozen=True, slots=True)
class References:
    """Adds to plans what their objects name and nobody has."""

    stock: Stock
    around: Around

    def __call__(self, plans: Sequence[Plan]) -> list[Plan]:
        """The plans, with warnings."""
        known = Everything(self.stock, plans, self.around)
        return [_warned(plan, known) for plan in plans]


def _warned(plan: Plan, known: Everything) -> Plan:
    outcome = plan.outcome
    resource = decode_tolerantly(outcome.stored.object).resource if outcome.result != "deleted" else None
    found = tuple(dangling(resource, known)) if resource is not None else ()
    return replace(plan, outcome=replace(outcome, warnings=(*outcome.warnings, *found))) if found else plan


def _key(obj: Object) -> str:
    meta = meta_of(obj)
    return f"{meta.get('namespace')}/{meta.get('name')}"


def _spec(obj: Object) -> Mapping[str, Any]:
    spec = obj.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _texts(value: Any) -> Mapping[str, str]:
    return value if isinstance(value, Mapping) else {}


def _listed(obj: Object, name: str) -> Iterable[Any]:
    value = _spec(obj).get(name)
    return value if isinstance(value, list | tuple) else ()
