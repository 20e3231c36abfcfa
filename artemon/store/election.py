"""Election with fencing over any `Store`: one key, created if absent, bound to a lease.

The fence is the version at which the key was created. A leader that was paused and replaced cannot write: its
transactions carry the old one.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, cast

from artemon.backoff import Backoff
from artemon.errors import StoreError, Unknown
from artemon.log import Log
from artemon.store.api import ABSENT, Batch, Check, Deleted, Entry, Lease, Put, Snapshot, WatchItem
from artemon.store.tasks import end

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from artemon.store.api import Store

    Wanted = Callable[[Entry | None], bool]

log = Log("artemon.store.election")


class Campaign:
    """Implements `Election`. Campaigns until resigned, again and again: `lost` is set from the loss of the
    role until it is won again; `leading` and `lost` are never both set."""

    def __init__(self, store: Store, role: str, identity: str, ttl: float) -> None:
        self._store, self._role, self._identity, self._ttl = store, role, identity, ttl
        self.leading, self.lost = asyncio.Event(), asyncio.Event()
        self._created = ABSENT
        self._lease: Lease | None = None
        self._task: asyncio.Task[None] | None = None

    def started(self, task: asyncio.Task[None]) -> None:
        """Tells the campaign the task in which it runs."""
        self._task = task

    def check(self) -> Check:
        """The fence: goes into every leader-only transaction. Raises StoreError when not leading."""
        if not self.leading.is_set() or self._lease is None or self._lease.lost.is_set():
            raise StoreError(f"{self._identity} does not lead {self._role}")
        return Check(self._role, created=self._created)

    async def resign(self) -> None:
        """Give the role up, or stop the campaign."""
        if self._task is not None:
            await end([self._task])

    async def run(self) -> None:
        """Campaign until cancelled."""
        backoff = Backoff(0.1, min(2.0, self._ttl / 4))
        while True:
            try:
                await self._round()
                backoff.reset()
            except StoreError as error:
                log.warning("election_interrupted", role=self._role, error=str(error))
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    async def _round(self) -> None:
        """Wait until the role is free, try to take it, lead until it is lost."""
        await self._until(lambda holder: holder is None)
        lease = await self._store.lease(self._ttl)
        try:
            if created := await self._take(lease):
                await self._lead(lease, created)
        finally:
            with suppress(StoreError):
                await lease.revoke()

    async def _take(self, lease: Lease) -> int:
        """The version of creation when the role is ours, else ABSENT."""
        put = Put(self._role, self._identity.encode(), lease.id)
        try:
            result = await self._store.txn((Check(self._role, ABSENT),), (put,))
        except Unknown:
            entry = await self._store.get(self._role)
            return entry.created if entry is not None and entry.lease == lease.id else ABSENT
        return result.position.revision if result.ok else ABSENT

    async def _lead(self, lease: Lease, created: int) -> None:
        self._lease, self._created = lease, created
        self.lost.clear()
        self.leading.set()
        log.info("leading", role=self._role, identity=self._identity, fence=created)
        try:
            async with asyncio.TaskGroup() as tasks:
                waits = [
                    tasks.create_task(_set(lease.lost)),
                    tasks.create_task(self._until(lambda now: now is None or now.created != created)),
                ]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                self._step_down()
                for task in waits:
                    task.cancel()
        finally:
            self._step_down()

    def _step_down(self) -> None:
        if self.leading.is_set():
            self.leading.clear()
            self.lost.set()
            log.warning("not_leading", role=self._role, identity=self._identity, fence=self._created)

    async def _until(self, wanted: Wanted) -> None:
        """Return when the entry of the role (None: nobody leads) is as wanted."""
        holder: Entry | None = None
        items = cast("AsyncGenerator[WatchItem]", self._store.watch(self._role))
        async with aclosing(items):
            async for item in items:
                if not isinstance(item, Snapshot | Batch):
                    continue
                holder = self._holder(item, holder)
                if wanted(holder):
                    return

    def _holder(self, item: Snapshot | Batch, holder: Entry | None) -> Entry | None:
        if isinstance(item, Snapshot):
            return next((entry for entry in item.entries if entry.key == self._role), None)
        for change in item.changes:
            if change.key == self._role:
                holder = None if isinstance(change, Deleted) else change
        return holder


async def _set(event: asyncio.Event) -> None:
    await event.wait()
