"""Pilotds watch one another: the records of one that died with its machine go in seconds, not with its lease.

Each keeps one record that it writes again every `BEAT_SECONDS`, bound to the lease of its workloads' records.
One whose record stands still while the registry lives and takes writes is dead, or may not write; its proxies
are elsewhere by then, with records under another lease. What is left under the old one is ended early. One
that was only asleep finds its lease gone when it wakes, and writes what is still its own again.

One that starts ends the lease of who ran under its name before, once everybody who lives has come back
(`pilotd.returning`): what is left under it is of machines that died too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from artemon.backoff import Backoff
from artemon.errors import StoreError
from artemon.log import Log
from artemon.store.api import Entry, Store
from artemon.store.follow import Follow
from artemon.store.layout import Layout
from artemon.store.mirror import Changes
from pilotd.leased import LeasedRecords
from pilotd.returning import Returning

BEAT_SECONDS = 2.0
DEAD_SECONDS = 8.0
"""A record that stands still for so long is of a dead pilotd. Its proxies need a third of that to move."""
LATE_SECONDS = 3.0
"""A record of ours may take so long to come back, else nothing is certain."""
LOOK_SECONDS = 0.5
SEEN_SECONDS = 0.5
"""What ends with a lease has been seen by then."""


@dataclass(slots=True)
class _Beat:
    """A record, and when it was seen first (seconds of a clock that does not jump)."""

    entry: Entry
    at: float


class Pulse:
    """Who beats. No I/O. now: a clock that does not jump, seconds."""

    def __init__(self, own: str, *, now: Callable[[], float]) -> None:
        self._own, self._now = own, now
        self._beats: dict[str, _Beat] = {}
        self._since = float("inf")
        """From when on our own records have come back in time."""

    def take(self, changes: Changes) -> None:
        """Records came or went."""
        for entry in changes.upserts:
            self._heard(entry)
        for entry in changes.deletes:
            self._beats.pop(entry.key, None)

    def _heard(self, entry: Entry) -> None:
        now, before = self._now(), self._beats.get(entry.key)
        if entry.key == self._own and (before is None or now - before.at > LATE_SECONDS):
            self._since = now
        self._beats[entry.key] = _Beat(entry, now)

    @property
    def steady(self) -> bool:
        """Whether our own record came back in time: the registry lives and takes what we write."""
        own = self._beats.get(self._own)
        return own is not None and self._now() - max(own.at, self._since) <= LATE_SECONDS

    def dead(self) -> list[Entry]:
        """Records that stand still, where the registry has surely lived long enough to show it."""
        now = self._now()
        if not self.steady or now - self._since < DEAD_SECONDS:
            return []
        silent = [beat for beat in self._beats.values() if now - max(beat.at, self._since) > DEAD_SECONDS]
        return [beat.entry for beat in silent if beat.entry.lease]


class Vigil:
    """Beats through `records`, and ends the leases of those that do not. returning: who is on the way back
    after our start; settled: is called when that is over."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        records: LeasedRecords,
        *,
        pilot: str,
        returning: Returning,
        settled: Callable[[], None],
        log: Log,
        now: Callable[[], float],
    ) -> None:
        self._store, self._records, self._log = store, records, log
        self._returning, self._settled = returning, settled
        self._own = layout.pilot(pilot)
        self._pulse = Pulse(self._own, now=now)
        self._follow = Follow(store, layout.pilots, self._pulse.take, name="pilots")

    async def run(self) -> None:
        """Until cancelled."""
        before = await self._before()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow.run())
            tasks.create_task(self._beat())
            tasks.create_task(self._succeed(before))
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                for entry in self._pulse.dead():
                    await self._end(entry)

    async def _beat(self) -> None:
        number = 0
        while True:
            self._records.put(self._own, b"%d" % number)
            number += 1
            await asyncio.sleep(BEAT_SECONDS)

    async def _before(self) -> Entry | None:
        """The record of who ran here under our name before."""
        backoff = Backoff(first=0.1, most=3.0)
        while True:
            try:
                return await self._store.get(self._own)
            except StoreError as error:
                self._log.debug("predecessor_not_read", reason=str(error))
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    async def _succeed(self, before: Entry | None) -> None:
        """End what is left of the predecessor when those who live are back, and say that they are."""
        while not (self._returning.over and self._pulse.steady and self._records.written):
            if self._returning.late:
                self._log.warning("predecessor_not_ended", reason="the registry takes nothing in time")
                before = None
                break
            await asyncio.sleep(LOOK_SECONDS)
        if before is not None and before.lease:
            await self._end_predecessor(before)
        await asyncio.sleep(SEEN_SECONDS)
        self._settled()

    async def _end_predecessor(self, before: Entry) -> None:
        """End the lease, unless somebody writes our record under it."""
        try:
            own = await self._store.get(self._own)
            if own is not None and own.lease != before.lease:
                await self._store.revoke(before.lease)
                self._log.info("predecessor_ended", lease=before.lease)
        except StoreError as error:
            self._log.warning("predecessor_not_ended", reason=str(error))

    async def _end(self, entry: Entry) -> None:
        """End the lease, unless the record has moved after all."""
        try:
            if await self._store.get(entry.key) == entry:
                await self._store.revoke(entry.lease)
                self._log.warning("pilotd_died", record=entry.key, lease=entry.lease)
        except StoreError as error:
            self._log.warning("dead_pilotd_not_ended", record=entry.key, reason=str(error))
