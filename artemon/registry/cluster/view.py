"""What a cluster has said so far, and what each word of it changes: which services, with which instances.

Pure: objects in, sources out. An object that has not the shape of its kind leaves the last good one in force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from artemon.errors import Problem
from artemon.model.mesh_config import MeshConfig
from artemon.model.selector import matches
from artemon.registry.kubernetes import to_source
from artemon.registry.kubernetes_objects import Objects, owner_of
from artemon.registry.kubernetes_read import Unfit
from artemon.registry.kubernetes_shapes import EndpointSlice, Key, Namespace, Node, Object, Pod, Service
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
        self._services: dict[Key, Service] = {}
        self._slices: dict[Key, EndpointSlice] = {}
        self._namespaces: dict[Key, Namespace] = {}
        self._objects = Objects()
        self._nodes: dict[Key, Node] = {}
        self._known: Mapping[str, dict[Key, Any]] = {
            "Namespace": self._namespaces,
            "Node": self._nodes,
            "Pod": self._objects.pods,
            "EndpointSlice": self._slices,
            "Service": self._services,
        }
        self._listed: defaultdict[str, set[Key]] = defaultdict(set)
        """Address -> the services whose slices list it."""
        self._told: set[str] = set()
        self._loading = loading

    def replace(self, kind: str, objects: Iterable[Object | Unfit]) -> Delta:
        """These are all objects of a kind."""
        known, touched, problems, seen = self._known[kind], set[Key](), list[Problem](), set[Key]()
        for one in objects:
            seen.add(one.key)
            if isinstance(one, Unfit):
                problems += one.problems
            else:
                touched |= self._put(kind, one.key, one)
        for key in [key for key in known if key not in seen]:
            touched |= self._put(kind, key, None)
        return self._delta(touched, problems)

    def change(self, kind: str, one: Object | Unfit, *, deleted: bool = False) -> Delta:
        """This object is new, different or gone."""
        if isinstance(one, Unfit) and not deleted:
            return Delta(problems=one.problems)
        return self._delta(self._put(kind, one.key, None if deleted else one), [])

    def every(self) -> tuple[Source, ...]:
        """All sources as of now."""
        self._loading = False
        return self._delta(set(self._services), []).sources

    def _put(self, kind: str, key: Key, new: Any) -> set[Key]:
        """Keep an object; the services that look different by it."""
        known = self._known[kind]
        old = known.get(key)
        if old == new:
            return set()
        if new is None:
            del known[key]
        else:
            known[key] = new
        match kind:
            case "Service":
                return {key}
            case "EndpointSlice":
                return self._put_slice(old, new)
            case "Pod":
                return self._put_pod(key, old, new)
            case "Node":
                return self._put_node(key[1], new)
            case _:
                return {one for one in self._services if one[0] == key[1]}

    def _put_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> set[Key]:
        touched = set[Key]()
        for one in (old, new):
            if one is None:
                continue
            owner = owner_of(one)
            touched.add(owner)
            slices = [each for each in self._objects.slices.get(owner, ()) if each.name != one.name]
            if one is new:
                slices.append(one)
            if slices:
                self._objects.slices[owner] = sorted(slices, key=lambda each: each.name)
            else:
                self._objects.slices.pop(owner, None)
            if one is new:
                for address in _slice_addresses(one):
                    self._listed[address].add(owner)
            else:
                self._unlist(owner, _slice_addresses(one).difference(*map(_slice_addresses, slices)))
        return touched

    def _unlist(self, owner: Key, addresses: Iterable[str]) -> None:
        """None of the service's slices lists these addresses any more."""
        for address in addresses:
            owners = self._listed[address]
            owners.discard(owner)
            if not owners:
                del self._listed[address]

    def _put_pod(self, key: Key, old: Pod | None, new: Pod | None) -> set[Key]:
        touched = set[Key]()
        addresses = self._objects.addresses
        for one in (old, new):
            for address in one.addresses if one is not None else ():
                if one is old and addresses.get(address) is old:
                    del addresses[address]
                touched |= self._listed.get(address, set())
        if new is not None:
            addresses.update(dict.fromkeys(new.addresses, new))
        if self._loading:
            return touched
        return touched | set(self._selecting(key[0], [one for one in (old, new) if one is not None]))

    def _selecting(self, space: str, pods: list[Pod]) -> Iterator[Key]:
        """Services without slices, whose instances are the pods that they select."""
        for key, service in self._services.items():
            selector = service.spec.selector
            if key[0] != space or not selector or key in self._objects.slices:
                continue
            if any(matches(selector, pod.labels) for pod in pods):
                yield key

    def _put_node(self, node: str, new: Node | None) -> set[Key]:
        if new is None:
            self._objects.nodes.pop(node, None)
        else:
            self._objects.nodes[node] = new
        if self._loading:
            return set()
        touched = {owner for owner, slices in self._objects.slices.items() if _names_node(slices, node)}
        for (space, _), pod in self._objects.pods.items():
            if pod.spec.node_name == node:
                touched |= set(self._selecting(space, [pod]))
                for address in pod.addresses:
                    touched |= self._listed.get(address, set())
        return touched

    def _delta(self, touched: set[Key], problems: list[Problem]) -> Delta:
        if self._loading:
            return Delta(problems=tuple(problems))
        sources, gone = [], []
        for key in sorted(touched):
            service = self._services.get(key)
            ident = f"{self._prefix}Service/{key[0]}/{key[1]}"
            if service is None or not self._taken(key[0]):
                gone += [ident] if ident in self._told else []
                self._told.discard(ident)
                continue
            self._told.add(ident)
            sources.append(self._source(service, ident))
        return Delta(tuple(sources), tuple(gone), tuple(problems))

    def _taken(self, space: str) -> bool:
        return not self._only_known or ("", space) in self._namespaces

    def _source(self, service: Service, ident: str) -> Source:
        return to_source(
            service,
            self._objects,
            self._mesh,
            domain=self._domain,
            ident=ident,
            rank=self._rank,
            created=self._created,
        )


def _names_node(slices: Iterable[EndpointSlice], node: str) -> bool:
    return any(each.node_name == node for one in slices for each in one.endpoints)


def _slice_addresses(one: EndpointSlice) -> set[str]:
    return {address for each in one.endpoints for address in each.addresses}
