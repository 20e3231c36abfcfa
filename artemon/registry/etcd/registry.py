"""Follows the records under a prefix of etcd."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from artemon.errors import Refused
from artemon.log import Log
from artemon.model.workload import Workload
from artemon.registry.api import Sink
from artemon.registry.etcd import convert
from artemon.registry.etcd.settings import EtcdRegistrySettings
from artemon.snapshot.services import Source
from artemon.store.etcd.settings import EtcdSettings
from artemon.store.etcd.store import EtcdStore
from artemon.store.follow import Follow
from artemon.store.mirror import Changes

LOOK_SECONDS = 1.0
log = Log("artemon.registry.etcd")


class EtcdRegistry:
    """The services that register themselves (implements Registry)."""

    def __init__(self, url: str, settings: EtcdRegistrySettings) -> None:
        self._url, self._settings = url, settings

    async def run(self, sink: Sink) -> None:
        """See Registry."""
        fields = self._settings.model_dump(include=set(EtcdSettings.model_fields))
        store = await EtcdStore.open(self._url, EtcdSettings.model_validate(fields))
        reader = _Reader(self._settings, sink)
        follow = Follow(store, self._settings.prefix, reader.take, name=self._settings.name)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(follow.run())
                await self._watch_over(follow, sink)
        finally:
            await store.close()

    async def _watch_over(self, follow: Follow, sink: Sink) -> None:
        """Tell whether etcd is there, for ever."""
        limit = self._settings.bookmark + self._settings.timeout
        while True:
            if follow.held:
                sink.trouble("etcd was wiped or restored: what it lacks is kept")
            elif follow.synced.is_set() and follow.age < limit:
                sink.alive()
            else:
                sink.trouble(f"etcd shows no sign of life for {follow.age:.0f} s")
            await asyncio.sleep(LOOK_SECONDS if follow.synced.is_set() else limit / 5)


class _Reader:
    def __init__(self, settings: EtcdRegistrySettings, sink: Sink) -> None:
        self._settings, self._sink = settings, sink
        self._groups: defaultdict[convert.Group, dict[str, Workload]] = defaultdict(dict)
        self._complete = False

    def take(self, changes: Changes) -> None:
        """Take what happened under the prefix, and pass on the services that it touches. A record that cannot
        be read leaves the last good one under its key in force."""
        touched: set[convert.Group] = set()
        for entry in changes.upserts:
            group = convert.group_of(entry.key, self._settings.prefix)
            if group is None:
                continue
            try:
                self._groups[group][entry.key] = convert.read(group, entry.value)
            except Refused as refusal:
                log.warning("record_unusable", key=entry.key, reason=str(refusal))
            touched.add(group)
        for entry in changes.deletes:
            group = convert.group_of(entry.key, self._settings.prefix)
            if group is not None:
                self._groups[group].pop(entry.key, None)
                touched.add(group)
        self._pass_on(touched)

    def _pass_on(self, touched: set[convert.Group]) -> None:
        if not self._complete:
            self._complete = True
            self._sink.replace([self._source(group) for group in self._known()], proven=False)
            return
        there = [self._source(group) for group in sorted(touched) if self._groups[group]]
        gone = [self._source(group).id for group in sorted(touched) if not self._groups[group]]
        self._sink.update(there, gone, proven=False)

    def _known(self) -> list[convert.Group]:
        return [group for group, instances in sorted(self._groups.items()) if instances]

    def _source(self, group: convert.Group) -> Source:
        return convert.source(group, self._groups[group], self._settings)
