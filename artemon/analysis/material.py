"""Everything that is looked at: objects, what runs, and which services there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from artemon.analysis.things import Object, Thing, labels_of, listed, mapping, mappings, text, texts
from artemon.inject import words
from artemon.model.hosts import DEFAULT_DOMAIN, covers, resolve, service_host
from artemon.model.mesh_config import MeshConfig
from artemon.model.selector import matches

ISTIO = frozenset({
    "networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io", "artemon.io",
})  # fmt: skip
_TEMPLATES = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController"}
)
EXPORT = "networking.istio.io/exportTo"


@dataclass(frozen=True, slots=True)
class Running:
    """A workload: a pod, a machine. about: the object that tells of it; None for one that joined."""

    namespace: str
    labels: Mapping[str, str]
    about: Thing | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """Of a service."""

    number: int
    name: str
    protocol: str
    target: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A service that can be called. exports: namespaces that see it, `*` for all, `.` for its own."""

    host: str
    namespace: str
    ports: tuple[Port, ...]
    exports: tuple[str, ...]
    about: Thing | None
    selector: Mapping[str, str] = field(default_factory=dict)

    def seen_from(self, namespace: str) -> bool:
        """Whether a namespace sees it."""
        own = namespace == self.namespace and ("." in self.exports or not self.exports)
        return own or "*" in self.exports or not self.exports or namespace in self.exports


@dataclass(frozen=True)
class Material:
    """Objects, and what is known otherwise. joined: workloads that joined the mesh, with what they serve.
    secrets: namespace and name of each Secret; None: those among the objects are all."""

    things: Sequence[Thing]
    mesh: MeshConfig = field(default_factory=MeshConfig)
    joined: Sequence[Running] = ()
    served: Sequence[Offer] = ()
    secrets: Collection[tuple[str, str]] | None = None
    domain: str = DEFAULT_DOMAIN

    @classmethod
    def of(cls, objects: Iterable[Object], *, namespace: str = "default", **more: Any) -> Material:
        """From objects as they are written; those of a list each."""
        return cls([Thing(one, namespace) for obj in objects for one in _each(obj)], **more)

    @cached_property
    def _by_kind(self) -> Mapping[str, list[Thing]]:
        found: dict[str, list[Thing]] = {}
        for one in self.things:
            found.setdefault(one.kind, []).append(one)
        return found

    def of_kind(self, *kinds: str) -> Iterator[Thing]:
        """Objects of the mesh's kinds; those of Kubernetes that share a name are left out."""
        for kind in kinds:
            yield from (one for one in self._by_kind.get(kind, ()) if one.group in ISTIO)

    def of_platform(self, *kinds: str) -> Iterator[Thing]:
        """Objects of Kubernetes' kinds."""
        for kind in kinds:
            yield from (one for one in self._by_kind.get(kind, ()) if one.group not in ISTIO)

    @cached_property
    def pods(self) -> Sequence[tuple[Thing, Object]]:
        """Pods, and what makes some: the object, and the pod's metadata and spec as one mapping."""
        found = [(one, one.obj) for one in self.of_platform("Pod")]
        found += [(one, mapping(one.spec.get("template"))) for one in self.of_platform(*_TEMPLATES)]
        return found

    @cached_property
    def _spaces(self) -> Mapping[str, Thing]:
        return {one.name: one for one in self.of_platform("Namespace")}

    def in_mesh(self, thing: Thing, pod: Object) -> bool:
        """Whether a pod has a proxy or is given one; where nobody tells of its namespace, it is."""
        spec, meta = mapping(pod.get("spec")), mapping(pod.get("metadata"))
        several = [*mappings(spec.get("containers")), *mappings(spec.get("initContainers"))]
        if any(one.get("name") == words.PROXY for _, one in several):
            return True
        wish = {**labels_of(meta.get("annotations")), **labels_of(meta.get("labels"))}.get(words.INJECT)
        if wish:
            return words.is_true(wish)
        space = self._spaces.get(thing.namespace)
        if space is None:
            return True
        asked = space.labels.get(words.NAMESPACE_INJECTION)
        return asked == "enabled" or (not asked and words.REVISION in space.labels)

    @cached_property
    def outside(self) -> Collection[str]:
        """Kind and name of pods without a proxy, and of what makes such."""
        return {thing.resource for thing, pod in self.pods if not self.in_mesh(thing, pod)}

    @cached_property
    def workloads(self) -> Sequence[Running]:
        """Everything that runs."""
        found = list(self.joined)
        for thing, pod in self.pods:
            found.append(
                Running(thing.namespace, labels_of(mapping(pod.get("metadata")).get("labels")), thing)
            )
        for one in self.of_kind("WorkloadEntry"):
            found.append(Running(one.namespace, {**one.labels, **labels_of(one.spec.get("labels"))}, one))
        for one in self.of_kind("WorkloadGroup"):
            labels = labels_of(mapping(one.spec.get("metadata")).get("labels"))
            labels |= labels_of(mapping(one.spec.get("template")).get("labels"))
            found.append(Running(one.namespace, labels, one))
        for one in self.of_kind("ServiceEntry"):
            for _, endpoint in mappings(one.spec.get("endpoints")):
                found.append(Running(one.namespace, labels_of(endpoint.get("labels")), one))
        return found

    def selected(self, selector: Mapping[str, str], namespace: str | None) -> list[Running]:
        """What a selector selects in a namespace; None: in all."""
        return [
            one
            for one in self.workloads
            if (namespace is None or one.namespace == namespace) and matches(selector, one.labels)
        ]

    @cached_property
    def offers(self) -> Sequence[Offer]:
        """Every service."""
        found = list(self.served)
        for one in self.of_platform("Service"):
            ports = tuple(_ports(one.spec.get("ports"), "port"))
            exports = one.annotations.get(EXPORT, "")
            found.append(
                Offer(service_host(one.name, one.namespace, self.domain), one.namespace, ports,
                      tuple(part.strip() for part in exports.split(",") if part.strip()), one,
                      labels_of(one.spec.get("selector")))
            )  # fmt: skip
        for one in self.of_kind("ServiceEntry"):
            ports = tuple(_ports(one.spec.get("ports"), "number"))
            exports_of = tuple(texts(one.spec.get("exportTo")))
            chosen = labels_of(mapping(one.spec.get("workloadSelector")).get("labels"))
            for host in texts(one.spec.get("hosts")):
                found.append(
                    Offer(resolve(host, one.namespace), one.namespace, ports, exports_of, one, chosen)
                )
        return found

    def offer(self, host: str, namespace: str) -> Offer | None:
        """The service that a namespace means by a full host."""
        seen = [one for one in self.offers if one.seen_from(namespace)]
        exact = next((one for one in seen if one.host == host), None)
        return exact or next((one for one in seen if covers(one.host, host)), None)

    def secret(self, name: str, namespace: str | None) -> bool:
        """Whether there is a Secret of that name; namespace None: anywhere."""
        known = self.secrets
        if known is None:
            known = {(one.namespace, one.name) for one in self.of_platform("Secret")}
        return any(name == one and namespace in (None, where) for where, one in known)


def _each(obj: Object) -> Iterator[Object]:
    if text(obj.get("kind")).endswith("List") and isinstance(obj.get("items"), list):
        for _, one in mappings(obj["items"]):
            yield from _each(one)
    else:
        yield obj


def _ports(value: Any, number: str) -> Iterator[Port]:
    for _, one in mappings(value):
        found = one.get(number)
        if isinstance(found, int) and not isinstance(found, bool):
            yield Port(
                found, text(one.get("name")), text(one.get("protocol")), text(one.get("targetPort", found))
            )


__all__ = ["ISTIO", "Material", "Offer", "Port", "Running", "listed"]
