"""Copies Secrets of one cluster that gateways name as certificates into the registry, sealed.

Of all Secrets of the namespaces that are read only the metadata is asked for; the data of those alone that
configuration names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from artemon.errors import ArtemonError
from artemon.kube.client import Client
from artemon.kube.cluster import among
from artemon.kube.failures import Rejected
from artemon.kube.follow import Changed, Listed, Lost, follow_as
from artemon.kube.kinds import KUBE_SECRET
from artemon.kube.pages import fields_of
from artemon.log import Log
from artemon.model.kinds import SECRET
from artemon.model.secret import ACCOUNTS, PARTS
from galleyd.clusters.marks import MARK, Home, goes_before, home_of
from galleyd.clusters.mesh import REFUSED, Mesh
from galleyd.clusters.named_secrets import NAMING, Named, Names
from galleyd.clusters.waiting import something
from galleyd.edits import How, Preconditions
from galleyd.objects import Object, Ref, Stored, meta_of
from galleyd.status import ApiError
from galleyd.writes import decode

PAUSE = 0.3
"""Seconds in which changes gather."""
AGAIN = 15.0
"""Seconds after which it is looked at again: what was refused may have been for lack of a key."""


class Certificates:
    """One run for one cluster. namespaces: patterns of those that are read. told: what gateways lack may be
    different."""

    def __init__(
        self,
        namespaces: str,
        home: Home,
        client: Client,
        mesh: Mesh,
        *,
        told: Callable[[], None],
        log: Log,
    ) -> None:
        self._home, self._client, self._mesh, self._log = home, client, mesh, log
        self._patterns, self._told = namespaces, told
        named = [one for one in dict.fromkeys(part.strip() for part in namespaces.split(",")) if one]
        self._scopes = [""] if any("*" in one or "?" in one or "[" in one for one in named) else named
        self._versions: dict[str, dict[Named, str]] = {}
        self._names = Names([mesh.keys.collection(kind) for kind in NAMING])
        self._taken: dict[Named, str] = {}
        self._refused: dict[Named, tuple[str, str]] = {}
        self._some = asyncio.Event()

    async def run(self) -> None:
        """Copy until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for scope in self._scopes:
                tasks.create_task(self._follow(scope), name=f"cluster-secrets-{scope}")
            for feed in (self._mesh.config, self._mesh.around.kept):
                tasks.create_task(self._heed(feed.moved), name="cluster-secrets-named")
            tasks.create_task(self._work(), name="cluster-certificates")

    def lacking(self, namespace: str, name: str) -> str:
        """Why no gateway can have this Secret; empty where it can, or where it is not known yet."""
        key, kept = (namespace, name), self._mesh.around.secrets()
        if kept is None or key in kept or not self._is_known(namespace):
            return ""
        if self._version(key):
            return self._refused.get(key, ("", ""))[1]
        if among(namespace, self._patterns):
            return f"there is no Secret {name} in namespace {namespace}"
        return f"there is no Secret {namespace}/{name} in the mesh; the cluster's are not read there"

    async def _follow(self, scope: str) -> None:
        lost = ""
        async for item in follow_as(_seen, self._client, KUBE_SECRET, scope, bare=True):
            if isinstance(item, Listed):
                self._versions[scope] = dict(item.objects)
            elif isinstance(item, Changed) and item.deleted:
                self._versions[scope].pop(item.object[0], None)
            elif isinstance(item, Changed):
                self._versions[scope][item.object[0]] = item.object[1]
            elif isinstance(item, Lost):
                if lost != item.reason:
                    self._log.warning("cluster_lost", kind=SECRET.name, namespace=scope, reason=item.reason)
                lost = item.reason
                continue
            lost = ""
            self._some.set()

    async def _heed(self, moved: Callable[[float], Any]) -> None:
        while True:
            self._some.set()
            await moved(60)

    async def _work(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock() + AGAIN
        while True:
            await something(self._some, within=AGAIN, pause=PAUSE)
            again = clock() >= due
            due = clock() + AGAIN if again else due
            self._names.look(self._mesh.config.values())
            await self._round(again=again)
            self._told()

    async def _round(self, *, again: bool) -> None:
        """Make the registry's Secrets what the cluster's are."""
        kept = self._kept()
        for key in [one for scope in self._versions.values() for one in scope if self._wanted(one)]:
            if self._is_due(key, kept, again=again):
                await self._quietly(self._copy(key), key)
        for key, stored in kept.items():
            if home_of(stored.object) == self._home and self._is_known(key[0]) and not self._wanted(key):
                await self._quietly(self._delete(key, stored), key)

    async def _quietly(self, doing: Any, key: Named) -> None:
        try:
            await doing
        except ArtemonError as error:
            self._log.warning("not_copied", object=Ref(SECRET, *key), reason=error)

    def _wanted(self, key: Named) -> bool:
        return bool(self._version(key)) and among(key[0], self._patterns) and self._names.has(*key)

    def _is_due(self, key: Named, kept: Mapping[Named, Stored], *, again: bool) -> bool:
        version, stored = self._version(key), kept.get(key)
        if stored and goes_before(home_of(stored.object), self._home, self._mesh.order):
            return False
        if self._refused.get(key, ("", ""))[0] == version:
            return again
        return stored is None or home_of(stored.object) != self._home or self._taken.get(key) != version

    def _version(self, key: Named) -> str:
        return self._versions.get(self._scope(key[0]), {}).get(key, "")

    def _scope(self, namespace: str) -> str:
        return "" if self._scopes == [""] else namespace

    def _is_known(self, namespace: str) -> bool:
        """Whether the cluster said what it has there; what is not read has nothing for us."""
        scope = self._scope(namespace)
        return scope in self._versions or scope not in self._scopes

    def _kept(self) -> dict[Named, Stored]:
        found = (decode(entry) for entry in self._mesh.around.kept.values())
        return {_key(one.object): one for one in found if one}

    async def _copy(self, key: Named) -> None:
        """Raises ArtemonError: try again."""
        version = self._version(key)
        try:
            obj = await self._client.get(KUBE_SECRET, *key)
        except Rejected as error:
            if error.code == 404:  # its deletion is on its way
                return
            raise
        ref = Ref(SECRET, *key)
        try:
            await self._mesh.edits.apply([(ref, _sealable(obj, self._home))], [], self._how())
        except ApiError as error:
            if error.code not in REFUSED:
                raise
            if self._refused.get(key, ("", ""))[1] != error.message:
                self._log.warning("refused", object=ref, reason=error.message)
            self._refused[key] = version, error.message
        else:
            self._refused.pop(key, None)
            self._taken[key] = version

    async def _delete(self, key: Named, stored: Stored) -> None:
        expected = Preconditions(version=str(stored.version))
        try:
            await self._mesh.edits.delete(Ref(SECRET, *key), self._how(), expected)
        except ApiError as error:
            if error.code not in (404, 409):  # written since: looked at again, when that is seen
                raise

    def _how(self) -> How:
        return How(who=f"cluster:{self._home.name}")


def _seen(text: bytes) -> tuple[Named, str]:
    """Which Secret it is, in which version; its annotations, where kubectl puts a copy of all data, are not
    kept."""
    obj = fields_of(text)
    return _key(obj), str(meta_of(obj).get("resourceVersion") or "")


def _key(obj: Object) -> Named:
    meta = meta_of(obj)
    return str(meta.get("namespace") or ""), str(meta.get("name") or "")


def _sealable(obj: Object, home: Home) -> Object:
    """What is stored of a cluster's Secret: what gateways use, and the mark."""
    meta, known = meta_of(obj), {name for names in PARTS.values() for name in names}
    given = meta.get("annotations") or {}
    notes = {**({ACCOUNTS: given[ACCOUNTS]} if ACCOUNTS in given else {}), MARK: str(home)}
    data = {name: value for name, value in (obj.get("data") or {}).items() if name in known}
    named = {"name": meta["name"], "namespace": meta["namespace"], "annotations": notes}
    head = {"apiVersion": "v1", "kind": SECRET.name, "type": obj.get("type", "")}
    return {**head, "metadata": named, "data": data}
