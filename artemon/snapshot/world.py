"""The current state of the mesh by key of the registry, and what each change to it touches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from artemon.errors import Problem, Refused
from artemon.model.hosts import DEFAULT_DOMAIN
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import WorkloadPort
from artemon.model.resource import Resource
from artemon.model.secret import Secret
from artemon.model.service_entry import ServiceEntry
from artemon.model.trust import DRAIN, IDENTITIES, TrustRecord
from artemon.model.workload import Workload
from artemon.model.workload_entry import WorkloadEntry
from artemon.snapshot.changes import (
    BAN,
    KEY_SET,
    MESH,
    NOWHERE,
    SECRET,
    SERVICE,
    TRUST,
    WORKLOAD,
    Bad,
    Change,
    ChangeSet,
    KeySet,
    Object,
    Position,
    ServiceKey,
    Upsert,
)
from artemon.snapshot.gates import Gates
from artemon.snapshot.membership import Membership, member_of
from artemon.snapshot.services import Source, from_joined, from_service_entry
from artemon.snapshot.touched import Touched


class World:
    """Everything that pilotd knows, one change at a time; snapshots are built from it.

    One bad object hurts only itself: the last good one under its key stays in force and `problems` has the
    reasons by key. `domain` is the mesh's DNS domain.
    """

    def __init__(self, *, domain: str = DEFAULT_DOMAIN) -> None:
        self.domain = domain
        self.mesh = MeshConfig()
        self.position: Position = NOWHERE
        self.namespaces: dict[str, Mapping[str, str]] = {}
        """Labels of namespaces, where they are known."""
        self.problems: dict[str, tuple[Problem, ...]] = {}
        self.membership = Membership()
        self.gates = Gates()
        self.secrets: dict[str, Secret] = {}
        self.keys: dict[str, str] = {}
        self.trust: dict[str, TrustRecord] = {}
        self.trust_read: dict[str, int] = {}
        """How far each view of `trust/` has been read, as revisions of the registry."""
        self._objects: dict[str, Object] = {}
        self._by_kind: defaultdict[str, dict[str, Resource[Any]]] = defaultdict(dict)
        self._sources: defaultdict[ServiceKey, set[str]] = defaultdict(set)
        self._declared: defaultdict[tuple[str, str], Counter[WorkloadPort]] = defaultdict(Counter)
        self._joined: Counter[tuple[str, str]] = Counter()

    def resources(self, kind: str) -> Mapping[str, Resource[Any]]:
        """The objects in force of one kind, by key."""
        return self._by_kind.get(kind, {})

    def sources(self, key: ServiceKey) -> list[Source]:
        """What defines a service, the one that decides first."""
        found = (self.membership.sources[identity] for identity in self._sources.get(key, ()))
        return sorted(found, key=lambda one: (one.rank, one.services[0].created, one.id))

    def apply(self, changes: Iterable[Change], position: Position | None = None) -> ChangeSet:
        """Take changes in and say what they touched; `position` is where the registry stands after them."""
        touched = Touched()
        for change in changes:
            self._take(change, touched)
        self.position = position or self.position
        return touched.frozen(self.position)

    def everything(self) -> ChangeSet:
        """The change set of a world that appears from nothing."""
        kinds = {MESH, WORKLOAD, SECRET, KEY_SET, TRUST, BAN, *self._by_kind}
        namespaces = {one.meta.namespace for objects in self._by_kind.values() for one in objects.values()}
        namespaces |= {key.namespace for key in self._sources}
        return ChangeSet(
            position=self.position,
            kinds=frozenset(kinds),
            namespaces=frozenset(namespaces),
            services=frozenset(self._sources),
            endpoints_only=False,
        )

    def _take(self, change: Change, touched: Touched) -> None:
        if isinstance(change, Bad):
            self.problems[change.key] = change.problems
            return
        key, old = change.key, self._objects.get(change.key)
        new = change.object if isinstance(change, Upsert) else None
        self.problems.pop(key, None)
        try:
            if not _same(old, new):
                self._replace(key, old, new, touched)
        except Refused as refusal:
            self.problems[key] = refusal.problems
            return
        self._report(key)

    def _replace(self, key: str, old: Object | None, new: Object | None, touched: Touched) -> None:
        if old is not None and type(old) is not type(new):
            self._taken(old)(key, old, None, touched)
            self._objects.pop(key)
            old = None
        if new is not None:
            self._taken(new)(key, old, new, touched)
            self._objects[key] = new

    def _taken(self, one: Object) -> Callable[[str, Any, Any, Touched], None]:
        """What takes in objects of this type: key, the object before and the one after (None: gone)."""
        takers: dict[type, Callable[[str, Any, Any, Touched], None]] = {
            MeshConfig: self._set_mesh,
            Workload: self._set_workload,
            Source: self._set_known_source,
            Resource: self._set_resource,
            Secret: self._set_secret,
            KeySet: self._set_keys,
            TrustRecord: self._set_trust,
        }
        return takers[type(one)]

    def _report(self, key: str) -> None:
        """Say again what of the object in force cannot be used."""
        one = self._objects.get(key)
        source = self.membership.sources.get(one.ref) if isinstance(one, Resource) else None
        if source is not None and source.problems:
            self.problems[key] = source.problems

    def _set_known_source(self, _: str, old: Source | None, new: Source | None, touched: Touched) -> None:
        same = old is not None and new is not None and replace(old, inline=()) == replace(new, inline=())
        touched.claimed |= _claimed(old) ^ _claimed(new)
        for one in (old, new):
            if one is not None:
                self._set_source(one.id, one if one is new else None, touched)
                gates = self.gates.within(one.namespace)
                touched.add(SERVICE, one.namespace, endpoints_only=same and not gates)
                for ref in gates:
                    self._set_gate(ref, touched)

    def _set_secret(self, key: str, _: Secret | None, new: Secret | None, touched: Touched) -> None:
        self.secrets.pop(key, None)
        if new is not None:
            self.secrets[key] = new
        touched.add(SECRET, key.split("/")[1])

    def _set_keys(self, _: str, old: KeySet | None, new: KeySet | None, touched: Touched) -> None:
        if old is not None:
            self.keys.pop(old.source, None)
        if new is not None:
            self.keys[new.source] = new.text
        touched.add(KEY_SET, self.mesh.root_namespace)

    def _set_trust(
        self, key: str, old: TrustRecord | None, new: TrustRecord | None, touched: Touched
    ) -> None:
        self.trust.pop(key, None)
        if new is not None:
            self.trust[key] = new
        touched.add(TRUST, "")
        if {IDENTITIES, DRAIN} & {one.kind for one in (old, new) if one is not None}:
            touched.add(BAN, "")

    def _set_resource(
        self, key: str, old: Resource[Any] | None, new: Resource[Any] | None, touched: Touched
    ) -> None:
        one = new or old
        assert one is not None
        kind = one.kind.unique
        if kind == "ServiceEntry":
            self._set_service_entry(one, gone=new is None, touched=touched)
        elif kind == "WorkloadEntry":
            self._set_member(key, new, touched)
        touched.add(kind, one.meta.namespace, endpoints_only=kind == "WorkloadEntry")
        self._by_kind[kind].pop(key, None)
        if new is not None:
            self._by_kind[kind][key] = new
        for ref in self.gates.take(old, new):
            self._set_gate(ref, touched)

    def _set_gate(self, ref: str, touched: Touched) -> None:
        source = self.gates.source(ref, self.domain, self.membership.sources.values())
        self._set_source(f"Gateway/{ref}", source, touched)

    def _set_service_entry(self, entry: Resource[ServiceEntry], *, gone: bool, touched: Touched) -> None:
        source = None if gone else from_service_entry(entry, self.mesh, self.domain)
        self._set_source(entry.ref, source, touched)

    def _set_source(self, identity: str, source: Source | None, touched: Touched) -> None:
        """Replace what a source defines; services of before and after are touched."""
        before = self.membership.sources.get(identity)
        for service in before.services if before else ():
            self._forget(ServiceKey(service.host, service.namespace), identity, touched)
        if source is None:
            self.membership.drop_source(identity)
            return
        self.membership.put_source(source)
        for service in source.services:
            self._sources[ServiceKey(service.host, service.namespace)].add(identity)
            touched.services.add(ServiceKey(service.host, service.namespace))

    def _forget(self, key: ServiceKey, identity: str, touched: Touched) -> None:
        self._sources[key].discard(identity)
        if not self._sources[key]:
            del self._sources[key]
        touched.services.add(key)

    def _set_member(
        self, key: str, origin: Workload | Resource[WorkloadEntry] | None, touched: Touched
    ) -> None:
        membership = self.membership
        found = (
            membership.drop_member(key) if origin is None else membership.put_member(key, member_of(origin))
        )
        self._touch_sources(found, touched)

    def _touch_sources(self, found: Iterable[str], touched: Touched) -> None:
        for identity in found:
            for service in self.membership.sources[identity].services:
                touched.services.add(ServiceKey(service.host, service.namespace))

    def _set_workload(self, key: str, old: Workload | None, new: Workload | None, touched: Touched) -> None:
        groups = {(one.namespace, one.service) for one in (old, new) if one is not None and one.service}
        before = {group: set(self._declared[group]) for group in groups}
        for one, step in ((old, -1), (new, 1)):
            if one is not None and one.service:
                self._count(one, step)
        self._set_member(key, new, touched)
        self._touch_sources(self.membership.adoptions.put(key, new), touched)
        for group in sorted(groups):
            if set(self._declared[group]) != before[group] or self._joined[group] == 0:
                self._set_joined(group, touched)
                touched.endpoints_only = False
        for one in (old, new):
            if one is not None:
                touched.add(WORKLOAD, one.namespace, endpoints_only=True)

    def _count(self, workload: Workload, step: int) -> None:
        group = (workload.namespace, workload.service)
        self._joined[group] += step
        self._declared[group].update(dict.fromkeys(set(workload.ports), step))
        self._declared[group] = +self._declared[group]

    def _set_joined(self, group: tuple[str, str], touched: Touched) -> None:
        namespace, service = group
        source = None
        if self._declared[group]:
            source = from_joined(namespace, service, self._declared[group], self.mesh, self.domain)
        if self._joined[group] == 0:
            del self._joined[group], self._declared[group]
        self._set_source(f"Workload/{namespace}/{service}", source, touched)

    def _set_mesh(self, _: str, old: MeshConfig | None, new: MeshConfig | None, touched: Touched) -> None:
        before, self.mesh = old or MeshConfig(), new or MeshConfig()
        touched.add(MESH, self.mesh.root_namespace)
        if before.default_service_export_to == self.mesh.default_service_export_to:
            return
        touched.endpoints_only = False
        for entry in self.resources("ServiceEntry").values():
            self._set_service_entry(entry, gone=False, touched=touched)
        for group in list(self._joined):
            self._set_joined(group, touched)


def _claimed(source: Source | None) -> set[str]:
    """The addresses whose workloads serve it."""
    return {one.address for one in source.inline} if source is not None and source.claims else set()


def _same(old: Object | None, new: Object | None) -> bool:
    """Whether nothing differs that configures a proxy (a new generation or status alone does not)."""
    if not isinstance(old, Resource) or not isinstance(new, Resource):
        return old is new or old == new
    return (
        old.spec == new.spec
        and old.meta.labels == new.meta.labels
        and old.meta.annotations == new.meta.annotations
        and old.meta.created == new.meta.created
        and (old.kind.name not in ("WorkloadEntry", "ServiceEntry") or old.status == new.status)
    )
