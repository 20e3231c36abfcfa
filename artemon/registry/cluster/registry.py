"""Reads a cluster: lists each kind once, then watches it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from artemon.errors import ArtemonError, Problem
from artemon.kube import Access, Client
from artemon.kube.follow import Item, Listed, Lost, follow_as
from artemon.kube.kinds import ENDPOINT_SLICE, NAMESPACE, NODE, POD, SERVICE
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Kind
from artemon.registry.api import Sink
from artemon.registry.cluster.settings import ClusterSettings
from artemon.registry.cluster.view import ClusterView, Delta
from artemon.registry.kubernetes_read import Unfit, read_json
from artemon.registry.kubernetes_shapes import Object

KINDS: tuple[Kind, ...] = (NAMESPACE, NODE, POD, ENDPOINT_SLICE, SERVICE)


class ClusterRegistry:
    """The Services of one cluster (implements Registry).

    Access: read anew for every run, as tokens expire.
    """

    def __init__(self, access: Callable[[], Access], settings: ClusterSettings) -> None:
        self._access, self._settings = access, settings

    async def run(self, sink: Sink) -> None:
        """See Registry."""
        try:
            async with Client.open(self._access()) as client:
                await _Reader(client, self._settings, sink).run()
        except BaseExceptionGroup as group:
            refused, others = group.split(ArtemonError)
            if others is not None or refused is None:
                raise
            raise ArtemonError("; ".join(str(one) for one in refused.exceptions)) from group


class _Reader:
    """One run. Lists are consistent reads: what is not in one was taken out. Nothing is told before every
    kind was listed once, and an outage takes nothing away."""

    def __init__(self, client: Client, settings: ClusterSettings, sink: Sink) -> None:
        self._client, self._settings, self._sink = client, settings, sink
        self._kinds = tuple(kind for kind in KINDS if settings.nodes or kind is not NODE)
        self._unread = {kind.name for kind in self._kinds}
        self._lost: dict[str, str] = {}
        self._told = False
        self._view = ClusterView(
            prefix=f"registry/{settings.name}/",
            rank=settings.rank,
            created=settings.created,
            mesh=MeshConfig(),
            domain=settings.domain,
            only_known=bool(settings.namespaces),
            loading=True,
        )

    async def run(self) -> None:
        """Follow every kind until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind in self._kinds:
                tasks.create_task(self._follow(kind), name=f"cluster-{kind.plural}")
            tasks.create_task(self._prove(), name="cluster-proof")

    async def _follow(self, kind: Kind) -> None:
        wanted = self._settings.namespaces if kind is NAMESPACE else ""
        query = {"labelSelector": wanted} if wanted else None
        as_read = partial(read_json, kind.name)
        async for item in follow_as(as_read, self._client, kind, query=query):
            self._take(kind, item)

    def _take(self, kind: Kind, item: Item[Object | Unfit]) -> None:
        if isinstance(item, Lost):
            self._lost[kind.name] = item.reason
            self._sink.trouble(item.reason)
            return
        self._lost.pop(kind.name, None)
        if isinstance(item, Listed):
            delta = self._view.replace(kind.name, item.objects)
            self._unread.discard(kind.name)
        else:
            delta = self._view.change(kind.name, item.object, deleted=item.deleted)
        if delta.problems:
            self._sink.trouble(_worst(delta.problems))
        self._tell(delta)

    def _tell(self, delta: Delta) -> None:
        if self._unread:
            return
        if not self._told:
            self._told = True
            self._sink.replace(self._view.every(), proven=True)
        elif delta.sources or delta.gone:
            self._sink.update(delta.sources, delta.gone, proven=True)

    async def _prove(self) -> None:
        """Ask for something small now and then: watches that are silent prove nothing."""
        while True:
            await asyncio.sleep(self._settings.proof)
            try:
                await self._client.request("GET", "/api/v1/namespaces", query={"limit": 1})
            except ArtemonError as error:
                self._sink.trouble(str(error))
                continue
            if not self._lost and not self._unread:
                self._sink.alive()


def _worst(problems: tuple[Problem, ...]) -> str:
    first = f"{problems[0]}; its last good form stays"
    return first if len(problems) == 1 else f"{first} ({len(problems) - 1} more problems)"
