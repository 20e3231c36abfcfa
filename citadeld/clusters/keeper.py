"""Keeps what there should be in one cluster: told of every change, and looked through from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from artemon.errors import ArtemonError
from artemon.kube.client import MERGE, Client
from artemon.kube.failures import Rejected, missing_rule
from artemon.kube.follow import Changed, Listed, Lost, follow
from artemon.kube.kinds import CONFIG_MAP, KUBE_SECRET, NAMESPACE, SERVICE_ACCOUNT
from artemon.log import Log
from artemon.model.resource import Kind
from artemon.pki.bundle import Bundle
from citadeld.clusters import wanted
from citadeld.clusters.certify import Certifier
from citadeld.clusters.settings import Cluster
from citadeld.clusters.wanted import Object, Place, Seen

LOOK_SECONDS = 5.0
PAUSE = 3.0
"""Seconds between two certificates for the same Secret, whatever happens to it."""
REFUSED_PAUSE = 60.0
"""The same, when none was given: for a banned identity, say."""
CALM = 0.2
"""Seconds that changes are gathered."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What of citadeld is needed. bundle: of the moment."""

    bundle: Callable[[], Bundle]
    certifier: Certifier
    now: Callable[[], datetime]
    log: Log


class Keeper:
    """One run for one cluster."""

    def __init__(self, cluster: Cluster, client: Client, sources: Sources) -> None:
        self._cluster, self._client, self._sources = cluster, client, sources
        self._options, self._log = cluster.settings, sources.log.bind(cluster=cluster.name)
        self._seen = Seen()
        self._unread: set[str] = set()
        self._some = asyncio.Event()
        self._not_before: dict[Place, float] = {}

    async def run(self) -> None:
        """Keep it until cancelled. Raises ArtemonError when the cluster does not know us any more."""
        name = {"fieldSelector": f"metadata.name={wanted.ROOTS}"}
        follows: list[tuple[Kind, dict[Place, Object], dict[str, str]]] = [
            (NAMESPACE, self._seen.namespaces, {}),
            (CONFIG_MAP, self._seen.roots, name),
        ]
        if self._options.secrets:
            kind = {"fieldSelector": f"type={wanted.SECRET_TYPE}"}
            follows += [
                (SERVICE_ACCOUNT, self._seen.accounts, {}),
                (KUBE_SECRET, self._seen.secrets, kind),
            ]
        self._unread = {kind.name for kind, _, _ in follows}
        async with asyncio.TaskGroup() as tasks:
            for one in follows:
                tasks.create_task(self._follow(*one), name=f"cluster-{one[0].plural}")
            tasks.create_task(self._keep(), name="cluster-keep")

    async def _follow(self, kind: Kind, seen: dict[Place, Object], query: dict[str, str]) -> None:
        async for item in follow(self._client, kind, query=query):
            match item:
                case Listed(objects):
                    seen.clear()
                    seen.update({_place(one): one for one in objects})
                    self._unread.discard(kind.name)
                case Changed(one, deleted):
                    seen.pop(_place(one), None) if deleted else seen.update({_place(one): one})
                case Lost(reason):
                    self._log.warning("cluster_lost", kind=kind.name, reason=reason)
                    continue
            self._some.set()

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._some.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(CALM)
            self._some.clear()
            if not self._unread:
                await self._look()

    async def _look(self) -> None:
        """Write whatever is not as it should be; nothing is taken away for lack of knowledge."""
        roots = self._sources.bundle().roots_pem
        for namespace in wanted.told(self._seen, self._options):
            before = self._seen.roots.get((namespace, wanted.ROOTS))
            if not wanted.says(before, roots.decode()):
                await self._write(CONFIG_MAP, wanted.roots_map(namespace, roots.decode()), before)
        if not self._options.secrets:
            return
        holders = list(wanted.holders(self._seen, self._options))
        for place in holders:
            await self._certify(place, roots)
        for namespace, name in wanted.left_over(self._seen, set(holders)):
            await self._remove(namespace, name)

    async def _certify(self, place: Place, roots: bytes) -> None:
        namespace, account = place
        before = self._seen.secrets.get((namespace, wanted.PREFIX + account))
        held = wanted.held(before, roots)
        certifier = self._sources.certifier
        if held and held.is_fresh(self._sources.now()) and not certifier.is_revoked(place, held.serial):
            return
        clock = asyncio.get_running_loop().time()
        if clock < self._not_before.get(place, 0.0):
            return
        self._not_before[place] = clock + PAUSE
        try:
            chain, key = await certifier.issue(place, self._cluster.name)
        except ArtemonError as error:
            self._not_before[place] = clock + REFUSED_PAUSE
            self._log.warning("secret_not_renewed", account=f"{namespace}/{account}", reason=error)
            return
        await self._write(KUBE_SECRET, wanted.secret(place, chain=chain, key=key, roots=roots), before)

    async def _write(self, kind: Kind, obj: Object, before: Object | None) -> None:
        meta = obj["metadata"]
        try:
            if before is None:
                answer = await self._client.create(kind, obj)
            else:
                patch = {"data": obj["data"], "metadata": {"labels": meta["labels"]}}
                answer = await self._client.patch(kind, meta["namespace"], meta["name"], patch, media=MERGE)
        except ArtemonError as error:
            self._failed(kind, obj, error)
            return
        seen = self._seen.roots if kind is CONFIG_MAP else self._seen.secrets
        seen[_place(obj)] = answer.value
        self._log.info("kept", object=f"{kind.name}/{meta['namespace']}/{meta['name']}")

    async def _remove(self, namespace: str, name: str) -> None:
        try:
            await self._client.delete(KUBE_SECRET, namespace, name)
        except ArtemonError as error:
            if not (isinstance(error, Rejected) and error.code == 404):
                self._failed(KUBE_SECRET, {"metadata": {"namespace": namespace, "name": name}}, error)
                return
        self._seen.secrets.pop((namespace, name), None)
        self._log.info("removed", object=f"Secret/{namespace}/{name}")

    def _failed(self, kind: Kind, obj: Object, error: ArtemonError) -> None:
        verbs = "[get, list, watch, create, patch, delete]"
        rule = f'{{apiGroups: [""], resources: ["{kind.plural}"], verbs: {verbs}}}'
        reason = missing_rule(error, rule) if isinstance(error, Rejected) else str(error)
        where = f"{kind.name}/{obj['metadata']['namespace']}/{obj['metadata']['name']}"
        self._log.warning("not_kept", object=where, reason=reason)


def _place(one: Object) -> Place:
    meta = one["metadata"]
    return str(meta.get("namespace") or ""), str(meta["name"])
