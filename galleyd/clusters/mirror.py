"""Copies Istio's resources of one cluster into the registry, as long as they are there.

What the cluster said last stays in force while it cannot be read, and when another cluster took its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from artemon.errors import ArtemonError, StoreError
from artemon.kube.client import Client
from artemon.kube.cluster import among
from artemon.kube.follow import Changed, Listed, Lost, follow
from artemon.kube.kinds import NAMESPACE
from artemon.log import Log
from artemon.model.kinds import ACCESS, KINDS, SERVICE_ENTRY
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Kind, Resource
from artemon.model.workload import Workload
from galleyd.clusters.certificates import Certificates
from galleyd.clusters.conditions import Verdict
from galleyd.clusters.edge import Edge
from galleyd.clusters.edge_stock import COPIED, Name, entries_of
from galleyd.clusters.marks import Home, copied, goes_before, home_of
from galleyd.clusters.mesh import REFUSED, Mesh
from galleyd.clusters.settings import Cluster
from galleyd.clusters.teller import Teller
from galleyd.edits import How, Preconditions
from galleyd.feed import Behind
from galleyd.objects import Object, Ref, Stored, meta_of
from galleyd.status import ApiError
from galleyd.writes import decode

READ: tuple[Kind, ...] = (*(kind for kind in KINDS if kind.group != ACCESS), *COPIED)
"""Not those that say who may do what in the mesh: rights in a cluster are none in the mesh."""
AGAIN = 2.0


class Mirror:
    """One run for one cluster, whose `home` was asked for."""

    def __init__(self, cluster: Cluster, home: Home, client: Client, mesh: Mesh, log: Log) -> None:
        self._cluster, self._home, self._client, self._mesh = cluster, home, client, mesh
        self._log = log.bind(cluster=cluster.name)
        self._seen: dict[Kind, dict[Ref, Object]] = {}
        self._due: dict[Ref, None] = {}
        self._some = asyncio.Event()
        self._lost: dict[Kind, str] = {}
        self._teller = Teller(client, self._known, mesh.proxies, self._log)
        self._certificates = Certificates(
            cluster.settings.secrets, home, client, mesh, told=self._lacking_changed, log=self._log
        )
        self._edge = Edge(
            client,
            seen=self._edge_objects,
            touched=self._again,
            around=self._around,
            lacking=self._certificates.lacking,
            log=self._log,
        )

    async def run(self) -> None:
        """Copy until cancelled. Raises ArtemonError when the cluster does not know the caller any more."""
        async with asyncio.TaskGroup() as tasks:
            for kind in READ:
                tasks.create_task(self._follow(kind), name=f"cluster-{kind.plural}")
            tasks.create_task(self._heed(), name="cluster-registry")
            tasks.create_task(self._work(), name="cluster-copies")
            tasks.create_task(self._teller.run(), name="cluster-status")
            tasks.create_task(self._edge.run(), name="cluster-edge")
            tasks.create_task(self._certificates.run(), name="cluster-certificates")

    def _lacking_changed(self) -> None:
        self._edge.changed()

    def _reads(self, ref: Ref) -> bool:
        return among(ref.namespace, self._cluster.settings.namespaces)

    def _known(self, ref: Ref) -> Object | None:
        return self._seen.get(ref.kind, {}).get(ref)

    def _edge_objects(self, kind: Kind) -> dict[Name, Object]:
        return {(ref.namespace, ref.name): obj for ref, obj in self._seen.get(kind, {}).items()}

    def _around(self) -> tuple[MeshConfig, Iterable[Workload], Iterable[Resource[Any]]]:
        entries = self._mesh.keys.collection(SERVICE_ENTRY)
        stored = (decode(entry) for entry in self._mesh.config.values() if entry.key.startswith(entries))
        around = self._mesh.around
        return (
            around.mesh() or MeshConfig(),
            around.workloads(),
            entries_of(one.object for one in stored if one),
        )

    def _again(self, kinds: Iterable[Kind]) -> None:
        """Copies of these kinds may look different."""
        self._ask_for(ref for kind in kinds for ref in self._seen.get(kind, {}))

    async def _follow(self, kind: Kind) -> None:
        if kind in COPIED:
            await self._edge.ready()
        async for item in follow(self._client, kind):
            if isinstance(item, Lost):
                if self._lost.get(kind) != item.reason and not (item.absent and kind in COPIED):
                    self._lost[kind] = item.reason
                    self._log.warning("cluster_lost", kind=kind.name, reason=item.reason)
                continue
            self._lost.pop(kind, None)
            self._edge.changed()
            self._ask_for(self._listed(kind, item) if isinstance(item, Listed) else self._changed(kind, item))

    def _listed(self, kind: Kind, item: Listed[Object]) -> list[Ref]:
        pairs = ((_ref(kind, obj), obj) for obj in item.objects)
        self._seen[kind] = {ref: obj for ref, obj in pairs if self._reads(ref)}
        in_order = sorted(self._seen[kind], key=lambda ref: _age(self._seen[kind][ref]))
        return [*in_order, *self._copies(kind)]

    def _changed(self, kind: Kind, item: Changed[Object]) -> list[Ref]:
        ref = _ref(kind, item.object)
        if not self._reads(ref):
            return []
        if item.deleted:
            self._seen[kind].pop(ref, None)
            return [ref]
        before = self._seen[kind].get(ref)
        self._seen[kind][ref] = item.object
        same = before is not None and copied(before, self._home) == copied(item.object, self._home)
        return [] if same else [ref]  # nothing but its status: written by us, or by somebody else

    def _copies(self, kind: Kind) -> Iterator[Ref]:
        """What the registry holds of this cluster."""
        prefix = self._mesh.keys.collection(kind)
        for entry in self._mesh.config.values():
            stored = decode(entry) if entry.key.startswith(prefix) else None
            if stored and home_of(stored.object) == self._home:
                yield _ref(kind, stored.object)

    async def _heed(self) -> None:
        """What others write into the registry may concern objects that the cluster has too."""
        config = self._mesh.config
        revision, generation = config.position.revision, config.generation
        kinds = {kind.collection: kind for kind in READ}
        while True:
            await config.moved(60)
            try:
                keys = [change.key for change in config.since(revision, generation)]
            except Behind:
                keys = [entry.key for entry in config.values()]
            revision, generation = config.position.revision, config.generation
            parts = (key.removeprefix(self._mesh.keys.layout.configs).split("/") for key in keys)
            refs = (Ref(kinds[plural], space, name) for plural, space, name in parts if plural in kinds)
            self._ask_for(ref for ref in refs if self._known(ref) is not None)

    def _ask_for(self, refs: Iterable[Ref]) -> None:
        self._due |= dict.fromkeys(refs)
        self._some.set()

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._due:
                ref = next(iter(self._due))
                del self._due[ref]
                try:
                    await self._copy(ref)
                except (ApiError, StoreError) as error:
                    self._log.warning("not_copied", object=ref, reason=error)
                    self._due[ref] = None
                    await asyncio.sleep(AGAIN)

    async def _copy(self, ref: Ref) -> None:
        """Make the registry's object what the cluster's is. Raises ApiError, StoreError: try again."""
        seen, stored = self._known(ref), await self._mesh.edits.writer.read(ref)
        obj = None if seen is None else self._edge.shaped(ref.kind, seen)
        if obj is None:
            self._teller.forget(ref)
            if stored and home_of(stored.object) == self._home and ref.kind in self._seen:
                await self._delete(ref, stored)
            return
        if stored and goes_before(home_of(stored.object), self._home, self._mesh.order):
            self._tell(ref, Verdict(_generation(obj), "Conflict", _winner(stored)))
            return
        self._tell(ref, await self._take(ref, obj))

    def _tell(self, ref: Ref, verdict: Verdict) -> None:
        if ref.kind in COPIED:
            self._edge.changed()
        else:
            self._teller.tell(ref, verdict)

    async def _take(self, ref: Ref, obj: Object) -> Verdict:
        edits = replace(self._mesh.edits, now=lambda: _age(obj)[0])
        try:
            _, outcomes = await edits.apply([(ref, copied(obj, self._home))], [], self._how())
        except ApiError as error:
            if error.code not in REFUSED:
                raise
            self._log.warning("refused", object=ref, reason=error)
            return Verdict(_generation(obj), "Invalid", error.message)
        warnings = "; ".join(str(one) for one in outcomes[0].warnings)
        return Verdict(_generation(obj), "Accepted", warnings, outcomes[0].stored.version)

    async def _delete(self, ref: Ref, stored: Stored) -> None:
        try:
            await self._mesh.edits.delete(ref, self._how(), Preconditions(version=str(stored.version)))
        except ApiError as error:
            if error.code != 404:
                raise

    def _how(self) -> How:
        return How(who=f"cluster:{self._cluster.name}")


def _ref(kind: Kind, obj: Object) -> Ref:
    meta = meta_of(obj)
    return Ref(kind, str(meta.get("namespace", "")), str(meta.get("name", "")))


def _age(obj: Object) -> tuple[str, str]:
    meta = meta_of(obj)
    return str(meta.get("creationTimestamp") or ""), str(meta.get("name") or "")


def _generation(obj: Object) -> int:
    found: Any = meta_of(obj).get("generation")
    return found if isinstance(found, int) else 0


def _winner(stored: Stored) -> str:
    home = home_of(stored.object)
    whose = f"of the cluster {home.name}" if home else "that was written to the mesh itself"
    return f"an object of the same kind and name {whose} is in force; delete that, or this one"


async def home_of_cluster(client: Client, name: str) -> Home:
    """Which cluster this is. Raises ArtemonError."""
    system = await client.get(NAMESPACE, "", "kube-system")
    uid = meta_of(system).get("uid")
    if not uid:
        raise ArtemonError(
            f"the cluster {name} does not tell who it is: its namespace kube-system has no uid"
        )
    return Home(name, str(uid))
