"""Objects of the edge in a cluster: which of them are ours, and their status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from artemon.errors import ArtemonError
from artemon.kube.client import MERGE, Client, path_of
from artemon.kube.failures import Rejected, missing_rule
from artemon.kube.follow import Listed, Lost, follow
from artemon.kube.kinds import EVENT, SERVICE
from artemon.log import Log
from artemon.model.kinds import GATEWAY_CLASS, INGRESS, KUBERNETES_GATEWAY
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Kind, Resource
from artemon.model.workload import Workload
from artemon.snapshot.edge.derive import derive
from artemon.snapshot.edge.ingress import is_ours
from artemon.snapshot.edge.listeners import NAME_LABEL
from artemon.snapshot.edge.said import CONTROLLER
from galleyd.clusters import edge_status
from galleyd.clusters.edge_stock import AROUND, COPIED, TOUCHED, Name, Stock, name_of, objects_of
from galleyd.clusters.teller import utc_now
from galleyd.clusters.waiting import something
from galleyd.objects import Object, meta_of

PAUSE = 0.3
"""Seconds in which changes gather."""
RETRY = 5.0
AGAIN = 15.0
"""Seconds after which it is looked at again: machines join and leave without a word to us."""
Wanted = dict[tuple[Kind, Name], dict[str, Any]]
"""Status by object."""


class Edge:
    """seen: the cluster's objects of a kind that is copied. touched: told which kinds' copies look different.
    around: MeshConfig, workloads that joined, ServiceEntries, as they are now. lacking: as of `Known`."""

    def __init__(
        self,
        client: Client,
        *,
        seen: Callable[[Kind], Mapping[Name, Object]],
        touched: Callable[[Iterable[Kind]], None],
        around: Callable[[], tuple[MeshConfig, Iterable[Workload], Iterable[Resource[Any]]]],
        lacking: Callable[[str, str], str],
        log: Log,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self._client, self._seen, self._touched, self._around = client, seen, touched, around
        self._lacking, self._log, self._now = lacking, log, now
        self._stock = Stock()
        self._unread = set(AROUND)
        self._some, self._ready = asyncio.Event(), asyncio.Event()
        self._said: set[tuple[Name, str]] = set()
        self._events: list[tuple[Name, str]] = []

    async def run(self) -> None:
        """Follow and tell until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind in AROUND:
                tasks.create_task(self._follow(kind), name=f"cluster-{kind.plural}")
            tasks.create_task(self._tell(), name="cluster-edge-status")

    async def ready(self) -> None:
        """Return when all that decides about copies was read once."""
        await self._ready.wait()

    def shaped(self, kind: Kind, obj: Object) -> Object | None:
        """The object as it is copied; None: it is not ours."""
        return self._stock.shaped(kind, obj, self._around()[0]) if kind in COPIED else obj

    def changed(self) -> None:
        """Something that is copied, or that routes refer to, is different."""
        self._some.set()

    async def _follow(self, kind: Kind) -> None:
        async for item in follow(self._client, kind):
            objects = self._stock.objects[kind]
            if isinstance(item, Lost):
                if not item.absent or kind not in self._unread:
                    self._log.warning("cluster_lost", kind=kind.name, reason=item.reason)
                    continue
            elif isinstance(item, Listed):
                self._stock.objects[kind] = {name_of(one): one for one in item.objects}
            elif item.deleted:
                objects.pop(name_of(item.object), None)
            else:
                objects[name_of(item.object)] = item.object
            self._unread.discard(kind)
            if not self._unread:
                self._ready.set()
            if kind in TOUCHED:
                self._touched(TOUCHED[kind])
            self.changed()

    async def _tell(self) -> None:
        await self.ready()
        while True:
            await something(self._some, within=AGAIN, pause=PAUSE)
            failed = [one for one in self._wanted().items() if not await self._write(*one)]
            await self._tell_events()
            if failed:
                await asyncio.sleep(RETRY)
                self._some.set()

    def _wanted(self) -> Wanted:
        mesh, workloads, entries = self._around()
        known, now = replace(self._stock.known(mesh, workloads, entries), lacking=self._lacking), self._now()
        shaped = {kind: self._ours(kind) for kind in COPIED}
        derived = derive(objects_of({kind: many.values() for kind, many in shaped.items()}), known)
        wanted: Wanted = {
            (GATEWAY_CLASS, name): edge_status.class_status(obj, now)
            for name, obj in self._stock.objects[GATEWAY_CLASS].items()
            if (obj.get("spec") or {}).get("controllerName") == CONTROLLER
        }
        for said in derived.gateways_said:
            obj = self._seen(KUBERNETES_GATEWAY)[_named(said.of)]
            at = self._addresses_of(said.of, known.domain)
            wanted[KUBERNETES_GATEWAY, _named(said.of)] = edge_status.gateway_status(said, obj, at, now)
        for route in derived.routes_said:
            kind = route.of.kind
            obj = self._seen(kind)[_named(route.of)]
            wanted[kind, _named(route.of)] = edge_status.route_status(route, obj, now)
        root = self._stock.objects[SERVICE].get((mesh.root_namespace, mesh.ingress_service))
        balanced = edge_status.ingress_status(edge_status.addresses_of(root))
        for one in objects_of({INGRESS: shaped[INGRESS].values()}).ingresses:
            if is_ours(one, mesh):
                wanted[INGRESS, _named(one)] = balanced
                self._warn(_named(one), derived.ingresses.get("/".join(_named(one)), ()))
        return wanted

    def _ours(self, kind: Kind) -> dict[Name, Object]:
        found = ((name, self.shaped(kind, obj)) for name, obj in self._seen(kind).items())
        return {name: obj for name, obj in found if obj is not None}

    def _addresses_of(self, gateway: Resource[Any], domain: str) -> list[dict[str, Any]]:
        """Of the Service that it names, or that carries its name as a label."""
        namespace = gateway.meta.namespace
        for address in gateway.spec.addresses:
            host = f"{address.value.partition('.')[0]}.{namespace}.svc.{domain}"
            return edge_status.addresses_of(self._stock.service(host))
        for (space, _), obj in self._stock.objects[SERVICE].items():
            labels = meta_of(obj).get("labels") or {}
            if space == namespace and labels.get(NAME_LABEL) == gateway.meta.name:
                return edge_status.addresses_of(obj)
        return []

    async def _write(self, key: tuple[Kind, Name], status: dict[str, Any]) -> bool:
        kind, name = key
        many = self._stock.objects[kind] if kind in AROUND else self._seen(kind)
        obj = many.get(name)
        if obj is None or edge_status.same_status(obj.get("status"), status):
            return True
        version = meta_of(obj).get("resourceVersion")  # so that what others say meanwhile is not lost
        body = {"metadata": {"resourceVersion": version}, "status": status}
        try:
            await self._client.request("PATCH", f"{path_of(kind, *name)}/status", body=body, media=MERGE)
        except ArtemonError as error:
            if isinstance(error, Rejected) and error.code in (404, 409):
                return error.code == 404
            what = f'{{apiGroups: ["{kind.group}"], resources: ["{kind.plural}/status"], verbs: [patch]}}'
            reason = missing_rule(error, what) if isinstance(error, Rejected) else str(error)
            self._log.warning("status_not_written", object=f"{kind.name}/{'/'.join(name)}", reason=reason)
            return False
        return True

    def _warn(self, name: Name, problems: Iterable[str]) -> None:
        """Ingresses have no conditions: what of them has no effect is logged, and told as Events."""
        for text in problems:
            if (name, text) not in self._said:
                self._said.add((name, text))
                self._log.warning("ingress_not_in_force", object="/".join(name), reason=text)
                self._events.append((name, text))

    async def _tell_events(self) -> None:
        while self._events:
            name, text = self._events.pop(0)
            obj = self._seen(INGRESS).get(name, {})
            try:
                await self._client.create(EVENT, _event(name, text, meta_of(obj).get("uid"), self._now()))
            except ArtemonError as error:
                if not isinstance(error, Rejected) or error.code != 409:  # it was told before
                    self._log.warning("event_not_written", object="/".join(name), reason=error)


def _named(one: Resource[Any]) -> Name:
    return one.meta.namespace, one.meta.name


def _event(name: Name, text: str, uid: Any, now: str) -> Object:
    """An Event (v1) about an Ingress; the same text has the same name."""
    about = {"apiVersion": INGRESS.api_version, "kind": INGRESS.name, "namespace": name[0], "name": name[1]}
    mark = sha256(f"{uid} {text}".encode()).hexdigest()[:16]
    return {
        "metadata": {"name": f"{name[1][:200]}.{mark}", "namespace": name[0]},
        "involvedObject": {**about, **({"uid": uid} if uid else {})},
        "reason": "NotInForce",
        "message": text[:1024],
        "type": "Warning",
        "source": {"component": "artemon-galleyd"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
