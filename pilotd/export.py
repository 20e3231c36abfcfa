"""Shows the mesh to registries that others read: a job of one pilotd among all, under an election."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from artemon.errors import StoreError
from artemon.log import Log
from artemon.registry.exports import Exporter, Feed, Shown, exportable
from artemon.registry.open import Opened
from artemon.snapshot.snapshot import Snapshot
from artemon.store.api import Election, Store
from artemon.store.layout import Layout

ROLE_TTL = 10.0
"""Seconds until another pilotd takes over from one that died."""


class Leading:
    """The right to write of this pilotd (implements Lead)."""

    def __init__(self, store: Store, role: str, election: Election) -> None:
        self._store, self._role, self._election = store, role, election
        self.fence = election.check().created or 0

    async def confirm(self) -> None:
        """See Lead."""
        entry = await self._store.get(self._role)
        if entry is None or self._election.check().created != entry.created:
            raise StoreError("another pilotd exports")


class Exports:
    """All exports of one pilotd. pilot: its name."""

    def __init__(
        self, store: Store, layout: Layout, registries: Sequence[Opened], *, pilot: str, log: Log
    ) -> None:
        self._store, self._layout, self._pilot, self._log = store, layout, pilot, log
        self._jobs: dict[str, tuple[Exporter, Feed, Shown]] = {}
        for one in registries:
            if (exporter := one.exporter(layout.mesh_name)) is not None:
                self._jobs[one.name] = exporter, Feed(), Shown()
        self._leading: set[str] = set()

    def offer(self, snapshot: Snapshot) -> None:
        """This is the mesh now."""
        config, instances = snapshot.config, snapshot.instances
        for _, feed, _ in self._jobs.values():
            feed.offer(lambda: exportable(config.services, instances, config.domain))

    def status(self, name: str) -> dict[str, Any]:
        """What of the registry `name` is to be told beside its view."""
        if name not in self._jobs:
            return {}
        shown, leads = self._jobs[name][2], name in self._leading
        told = {"leads": leads, "services": shown.services, "instances": shown.instances}
        return {"export": {**told, "reason": shown.reason} if leads else {"leads": False}}

    async def run(self) -> None:
        """Export until cancelled, whenever this pilotd leads."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._jobs:
                tasks.create_task(self._campaign(name), name=f"export {name}")

    async def _campaign(self, name: str) -> None:
        role = f"{self._layout.root}election/export-{name}"
        election = await self._store.elect(role, self._pilot, ttl=ROLE_TTL)
        try:
            while True:
                await election.leading.wait()
                await self._lead(name, role, election)
        finally:
            await election.resign()

    async def _lead(self, name: str, role: str, election: Election) -> None:
        exporter, feed, shown = self._jobs[name]
        self._leading.add(name)
        feed.changed.set()
        job = asyncio.ensure_future(exporter.run(feed, Leading(self._store, role, election), shown))
        lost = asyncio.ensure_future(election.lost.wait())
        try:
            await asyncio.wait([job, lost], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leading.discard(name)
            for task in (job, lost):
                task.cancel()
            await asyncio.wait([job, lost])
        if not job.cancelled() and (error := job.exception()) is not None:
            raise error
