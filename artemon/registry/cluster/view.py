"""What a cluster has said so far, and what each word of it changes: which services, with which instances.

Pure: objects in, sources out. An object that has not the shape of its kind leaves the last good one in force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from artemon.errors import Problem
from artemon.model.mesh_config import MeshConfig
from artemon.model.selector import matches
from artemon.registry.kubernetes import to_source
from artemon.registry.kubernetes_objects import (
    SERVICE_NAME_LABEL,
    Fields,
    Key,
    Misfit,
    Objects,
    Projected,
    labels,
    name,
    namespace,
    object_problems,
    pod_addresses,
    projected,
)
from artemon.snapshot.services import Source

KINDS = ("Namespace", "Node", "Pod", "EndpointSlice", "Service")
"""In the order in which they are best read: what services need comes before them."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed. gone: ids of sources. problems: of objects that could not be used."""

    sources: tuple[Source, ...] = ()
    gone: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class ClusterView:
    """The services of one cluster.

    prefix: of the sources' ids. only_known: services of namespaces that were not told of are left out.
    loading: until `every` is asked for the first time, nothing is said of what a word changes: in which order
    the kinds of a large cluster come must not cost anything.
    """

    def __init__(
        self,
        *,
        prefix: str,
        rank: int,
        created: str,
        mesh: MeshConfig,
        domain: str,
        only_known: bool,
        loading: bool = False,
    ) -> None:
        self._prefix, self._rank, self._created = prefix, rank, created
        self._mesh, self._domain, self._only_known = mesh, domain, only_known
        self._known: dict[str, dict[Key, Fields]] = {kind: {} for kind in KINDS}
        self._objects = Objects()
        self._listed: defaultdict[str, set[Key]] = defaultdict(set)
        """Address -> the services whose slices list it."""
        self._told: set[str] = set()
        self._loading = loading

    def replace(self, kind: str, objects: Iterable[Fields]) -> Delta:
        """These are all objects of a kind."""
        known, touched, problems, seen = self._known[kind], set[Key](), list[Problem](), set[Key]()
        for one in objects:
            one = one if type(one) is Projected else {**one, "kind": kind}
            key = _key(one)
            seen.add(key)
            try:
                found = projected(one)
            except Misfit:
                problems += object_problems(one)
                continue
            touched |= self._put(kind, key, found)
        for key in [key for key in known if key not in seen]:
            touched |= self._put(kind, key, None)
        return self._delta(touched, problems)

    def change(self, kind: str, one: Fields, *, deleted: bool = False) -> Delta:
        """This object is new, different or gone."""
        one = {**one, "kind": kind}
        try:
            found = None if deleted else projected(one)
        except Misfit:
            return Delta(problems=tuple(object_problems(one)))
        return self._delta(self._put(kind, _key(one), found), [])

    def every(self) -> tuple[Source, ...]:
        """All sources as of now."""
        self._loading = False
        return self._delta(set(self._known["Service"]), []).sources

    def _put(self, kind: str, key: Key, new: Fields | None) -> set[Key]:
        """Keep an object; the services that look different by it."""
        known = self._known[kind]
        old = known.get(key)
        if old == new:
            return set()
        if new is None:
            del known[key]
        else:
            known[key] = new
        pair = [one for one in (old, new) if one is not None]
        match kind:
            case "Service":
                return {key}
            case "EndpointSlice":
                return self._put_slice(key, old, new)
            case "Pod":
                return self._put_pod(key, old, new)
            case "Node":
                return self._put_node(key[1], new)
            case _:
                return {one for one in self._known["Service"] if one[0] == name(pair[0])}

    def _put_slice(self, key: Key, old: Fields | None, new: Fields | None) -> set[Key]:
        touched = set[Key]()
        for one in (old, new):
            if one is None:
                continue
            owner = (namespace(one), labels(one).get(SERVICE_NAME_LABEL, ""))
            touched.add(owner)
            slices = [each for each in self._objects.slices.get(owner, []) if name(each) != key[1]]
            if one is new:
                slices.append(one)
            if slices:
                self._objects.slices[owner] = sorted(slices, key=name)
            else:
                self._objects.slices.pop(owner, None)
            for address in _slice_addresses(one):
                if one is new:
                    self._listed[address].add(owner)
                elif not any(address in _slice_addresses(each) for each in slices):
                    self._listed[address].discard(owner)
        return touched

    def _put_pod(self, key: Key, old: Fields | None, new: Fields | None) -> set[Key]:
        touched = set[Key]()
        self._objects.pods.pop(key, None)
        for one in (old, new):
            for address in pod_addresses(one) if one is not None else ():
                if self._objects.addresses.get(address) is old:
                    self._objects.addresses.pop(address, None)
                touched |= self._listed.get(address, set())
        if new is not None:
            self._objects.pods[key] = new
            self._objects.addresses.update(dict.fromkeys(pod_addresses(new), new))
        if self._loading:
            return touched
        return touched | set(self._selecting(key[0], [one for one in (old, new) if one is not None]))

    def _selecting(self, space: str, pods: list[Fields]) -> Iterator[Key]:
        """Services without slices, whose instances are the pods that they select."""
        for key, service in self._known["Service"].items():
            selector = service["spec"].get("selector")
            if key[0] != space or not selector or key in self._objects.slices:
                continue
            if any(matches(selector, labels(pod)) for pod in pods):
                yield key

    def _put_node(self, node: str, new: Fields | None) -> set[Key]:
        if new is None:
            self._objects.nodes.pop(node, None)
        else:
            self._objects.nodes[node] = new
        if self._loading:
            return set()
        touched = {owner for owner, slices in self._objects.slices.items() if _names_node(slices, node)}
        for (space, _), pod in self._objects.pods.items():
            if (pod.get("spec") or {}).get("nodeName") == node:
                touched |= set(self._selecting(space, [pod]))
                for address in pod_addresses(pod):
                    touched |= self._listed.get(address, set())
        return touched

    def _delta(self, touched: set[Key], problems: list[Problem]) -> Delta:
        if self._loading:
            return Delta(problems=tuple(problems))
        sources, gone = [], []
        for key in sorted(touched):
            service = self._known["Service"].get(key)
            ident = f"{self._prefix}Service/{key[0]}/{key[1]}"
            if service is None or not self._taken(key[0]):
                gone += [ident] if ident in self._told else []
                self._told.discard(ident)
                continue
            self._told.add(ident)
            sources.append(self._source(service, ident))
        return Delta(tuple(sources), tuple(gone), tuple(problems))

    def _taken(self, space: str) -> bool:
        return not self._only_known or ("", space) in self._known["Namespace"]

    def _source(self, service: Fields, ident: str) -> Source:
        made = to_source(service, self._objects, self._mesh, domain=self._domain)
        services = tuple(
            replace(one, created=self._created or one.created, source=ident) for one in made.services
        )
        return replace(made, id=ident, rank=self._rank, services=services)


def _key(one: Fields) -> Key:
    """Where an object is kept; kinds that have no namespace have the empty one."""
    meta = one.get("metadata") or {}
    space = "" if one["kind"] in {"Node", "Namespace"} else str(meta.get("namespace") or "default")
    return space, str(meta.get("name") or "")


def _names_node(slices: Iterable[Fields], node: str) -> bool:
    return any(each.get("nodeName") == node for one in slices for each in one.get("endpoints") or ())


def _slice_addresses(one: Fields) -> set[str]:
    return {address for each in one.get("endpoints") or () for address in each.get("addresses") or ()}
