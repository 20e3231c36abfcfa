"""Reads Consul's catalog: one blocking query for the names, one for each service that is watched."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import quote

from artemon.backoff import Backoff
from artemon.errors import StoreError
from artemon.registry.api import Sink
from artemon.registry.consul import convert
from artemon.registry.consul.client import Answer, Client
from artemon.registry.consul.poll import Index, poll
from artemon.registry.consul.settings import ConsulSettings
from artemon.snapshot.services import Source
from artemon.store import clock

NAMES = "/v1/catalog/services"
OWN = "consul"
"""The name under which the servers register themselves."""
TURN_SECONDS = 5.0
"""How often services without a blocking query of their own are asked for, at the least pause between two."""
LEAST_PAUSE = 0.05


class ConsulRegistry:
    """The services of one datacenter (implements Registry)."""

    def __init__(
        self, client: Client, settings: ConsulSettings, *, now: Callable[[], float] = clock.now
    ) -> None:
        self._client, self._settings, self._now = client, settings, now

    async def run(self, sink: Sink) -> None:
        """See Registry."""
        async with self._client, asyncio.TaskGroup() as tasks:
            reader = _Reader(self._client, self._settings, sink, tasks, now=self._now)
            tasks.create_task(reader.prove())
            tasks.create_task(reader.ask_in_turn())


class _Reader:
    """One run. Answers of streamed queries prove nothing about Consul's leader: what takes something away is
    asked for again, consistently, before it is believed."""

    def __init__(
        self,
        client: Client,
        settings: ConsulSettings,
        sink: Sink,
        tasks: asyncio.TaskGroup,
        *,
        now: Callable[[], float],
    ) -> None:
        self._client, self._settings, self._sink, self._tasks = client, settings, sink, tasks
        self._now = now
        self._names: set[str] | None = None
        self._rows: dict[str, list[convert.Row]] = {}
        self._told: dict[str, list[Source]] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._indexes: defaultdict[str, Index] = defaultdict(Index)
        self._turn = asyncio.Lock()
        self._complete, self._proven, self._filtered = False, True, False
        self._doubt = asyncio.Event()

    async def _follow_names(self) -> None:
        answers = poll(
            self._client,
            NAMES,
            self._settings,
            index=self._indexes[NAMES],
            failed=self._failed,
            now=self._now,
            only=names_filter(self._settings),
        )
        async with aclosing(cast("Any", answers)) as found:
            async for answer, fell in found:
                await self._take_names(answer, fell)

    async def prove(self) -> None:
        """Follow the names, and show every now and then that a leader stands behind what is known, at once
        after a failure."""
        names = self._tasks.create_task(self._follow_names())
        while True:
            self._doubt.clear()
            try:
                answer = await self._client.get(NAMES, only=names_filter(self._settings))
            except StoreError as error:
                self._sink.trouble(str(error))
            else:
                self._judge(answer)
                if answer.index < self._indexes[NAMES].last:
                    names.cancel()
                    await self._begin_again(answer)
                    names = self._tasks.create_task(self._follow_names())
                elif self._names is not None and self._chosen(answer) != self._names:
                    await self._take_names(answer, fell=False)
            try:
                async with asyncio.timeout(self._settings.proof):
                    await self._doubt.wait()
                await asyncio.sleep(1.0)
            except TimeoutError:
                continue

    async def _begin_again(self, answer: Answer) -> None:
        """Consul's history is another one than before: queries that wait for what comes after the old one
        would sleep."""
        self._indexes[NAMES].took(answer.index, early=False)
        for name, task in self._watchers.items():
            task.cancel()
            self._indexes[name].failed()
        self._watchers.clear()
        await self._take_names(answer, fell=True)

    async def ask_in_turn(self) -> None:
        """Services beyond the number of watches, one after the other."""
        while True:
            rest = sorted((self._names or set()) - self._watchers.keys())
            for name in rest:
                if name not in self._watchers:
                    await self._ask_once(name)
                if self._complete:
                    await asyncio.sleep(max(LEAST_PAUSE, TURN_SECONDS / len(rest)))
            if not rest or not self._complete:
                await asyncio.sleep(0.2)

    async def _ask_once(self, name: str) -> None:
        try:
            answer = await self._client.get(_path(name))
        except StoreError as error:
            self._failed(error)
        else:
            await self._take(name, answer, fell=False)

    def _failed(self, error: StoreError) -> None:
        self._sink.trouble(str(error))
        self._doubt.set()

    def _judge(self, answer: Answer) -> None:
        if not answer.proven:
            self._sink.trouble("Consul knows no leader")
        elif answer.filtered and not self._filtered and self._complete:
            self._sink.trouble("the ACL token sees less than before; it needs service:read and node:read")
        else:
            self._sink.alive()

    async def _take_names(self, answer: Answer, fell: bool) -> None:
        async with self._turn:
            await self._choose(answer, fell)

    async def _choose(self, answer: Answer, fell: bool) -> None:
        names, proven = self._chosen(answer), answer.proven and not fell
        gone = (self._names or set()) - names
        if gone:
            sure = await self._sure(NAMES, only=names_filter(self._settings))
            names = names | self._chosen(sure)
            gone, proven = gone - names, proven and sure.proven and not sure.filtered
        if self._names is None:
            self._filtered = answer.filtered
            self._proven = proven and not answer.filtered
        self._names = names
        ids = [source.id for name in gone for source in self._told.pop(name, ())]
        for name in gone:
            self._rows.pop(name, None)
            self._indexes.pop(name, None)
            if (task := self._watchers.pop(name, None)) is not None:
                task.cancel()
        self._watch(names)
        if ids and self._complete:
            self._sink.update((), ids, proven=proven, doubted=not proven)
        self._finish()

    def _chosen(self, answer: Answer) -> set[str]:
        """The names that are wanted: not everything can be left to Consul's filter (older ones have none)."""
        tag, found = self._settings.tag, answer.body or {}
        return {name for name, tags in found.items() if name != OWN and (not tag or tag in (tags or ()))}

    def _watch(self, names: set[str]) -> None:
        for name in sorted(names - self._watchers.keys()):
            if len(self._watchers) >= self._settings.watches:
                return
            self._watchers[name] = self._tasks.create_task(self._follow(name), name=f"consul {name}")

    async def _follow(self, name: str) -> None:
        answers = poll(
            self._client,
            _path(name),
            self._settings,
            index=self._indexes[name],
            failed=self._failed,
            now=self._now,
        )
        async with aclosing(cast("Any", answers)) as found:
            async for answer, fell in found:
                await self._take(name, answer, fell)

    async def _take(self, name: str, answer: Answer, fell: bool) -> None:
        rows: list[convert.Row] = answer.body or []
        proven = answer.proven and not answer.filtered and not fell
        if answer.index <= 1 and not rows:
            return
        if self._loses(name, rows):
            sure = await self._sure(_path(name))
            rows, proven = sure.body or [], sure.proven and not sure.filtered and not fell
        if not rows and name in self._rows:
            return
        self._rows[name] = rows
        self._tell(name, rows, proven=proven)

    def _loses(self, name: str, rows: list[convert.Row]) -> bool:
        """Whether `rows` take an instance away, or a name, address or port of one."""
        before = _keys(self._rows.get(name, ())) | _members(self._told.get(name, ()))
        return bool(before - _keys(rows) - _members(convert.sources(name, rows, self._settings)))

    def _tell(self, name: str, rows: Iterable[convert.Row], *, proven: bool) -> None:
        before, found = self._told.get(name, []), convert.sources(name, rows, self._settings)
        self._told[name] = found
        if self._complete:
            gone = {source.id for source in before} - {source.id for source in found}
            self._sink.update(found, gone, proven=proven, doubted=not proven)
        else:
            self._proven = self._proven and proven
            self._finish()

    def _finish(self) -> None:
        """Tell everything, once it is all there."""
        if not self._complete and self._names is not None and self._names <= self._rows.keys():
            self._complete = True
            told = [source for sources in self._told.values() for source in sources]
            self._sink.replace(told, proven=self._proven)

    async def _sure(self, path: str, only: str = "") -> Answer:
        """The state as the leader knows it, however long that takes: until then nothing is taken away."""
        backoff = Backoff(0.1, 5.0)
        while True:
            try:
                return await self._client.get(path, consistent=True, only=only)
            except StoreError as error:
                self._failed(error)
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter


def names_filter(settings: ConsulSettings) -> str:
    """Which names are worth a query, in Consul's filter language."""
    parts = [f'ServiceKind != "{kind}"' for kind in sorted(convert.MESH_ONLY)]
    parts.append(f'"{convert.OWNER_META}" not in ServiceMeta')
    if settings.tag:
        parts.append(f"{json.dumps(settings.tag)} in ServiceTags")
    if settings.meta:
        key, _, value = settings.meta.partition("=")
        parts.append(f"ServiceMeta[{json.dumps(key)}] == {json.dumps(value)}")
    return " and ".join(parts)


def _path(name: str) -> str:
    return f"/v1/health/service/{quote(name, safe='')}"


def _members(sources: Iterable[Source]) -> set[tuple[str, str]]:
    return {(source.id, f"{one.address} {one.ports}") for source in sources for one in source.inline}


def _keys(rows: Iterable[convert.Row]) -> set[tuple[str, str]]:
    return {(str(row["Node"].get("Node")), str(row["Service"].get("ID"))) for row in rows}
