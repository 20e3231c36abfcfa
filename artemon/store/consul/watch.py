"""One watch of Consul that outlives its queries."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

from artemon.backoff import Backoff
from artemon.errors import StoreError
from artemon.log import Log
from artemon.store import clock
from artemon.store.api import Batch, Bookmark, Stale
from artemon.store.consul.client import Client
from artemon.store.consul.deliveries import Deliveries, History, WentBack
from artemon.store.consul.reading import Listing, Reading, list_names, read_prefix
from artemon.store.consul.search import Search, Unclear

log = Log("artemon.store.consul")

SPURIOUS_BURST = 10
"""Answers without a change that may follow one another; a prefix without keys wakes on every write."""
SPURIOUS_PAUSE = 0.2
MOST_PAUSE = 1.0
LITTLE = 500
"""Keys that are read whole at every change."""
WHOLE_EVERY = 60.0
"""Seconds from one reading of everything to the next, at most, where there are changes."""


class Reset(StoreError):
    """The store was restored or replaced."""


class Resumption:
    """The changes under `prefix` after `first`, over any number of queries.

    alive: when Consul last gave proof of life to this watch.
    """

    def __init__(
        self,
        client: Client,
        history: History,
        prefix: str,
        first: Reading,
        *,
        wait: float,
        stale_after: float,
    ) -> None:
        self._client, self._history, self._prefix = client, history, prefix
        self._wait, self._stale_after = wait, stale_after
        self._deliveries, self._spurious = Deliveries(first.position, first.items, first.index), 0
        self.alive = self._whole = clock.now()

    async def items(self) -> AsyncGenerator[Batch | Bookmark | Stale]:
        """Endless. Raises Reset: the state must be listed anew."""
        backoff = Backoff(0.05, 2.0)
        while True:
            if self._deliveries.position.epoch != self._history.epoch:
                raise Reset("consul: the store is another one, or was reset")
            try:
                item, busy = await self._next()
            except Reset:
                raise
            except StoreError as error:
                log.info("watch_interrupted", prefix=self._prefix, error=str(error))
                self._deliveries.doubt()
                if (silence := clock.now() - self.alive) >= self._stale_after:
                    yield Stale(silence, str(error))
                await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter
                continue
            self.alive = clock.now()
            backoff.reset()
            yield item
            await asyncio.sleep(self._pause(item, busy))

    async def _next(self) -> tuple[Batch | Bookmark, float]:
        """What comes next, and how long it took to be read. A small query waits; then what moved is looked
        for, or everything is read, from the nearest server where it is known how new it must be."""
        ask, sent = self._deliveries.ask, clock.now()
        top = await list_names(self._client, self._prefix, index=ask, wait=self._wait) if ask else None
        early = top is not None and clock.now() - sent < self._wait
        if top is not None and 1 < ask < top.index:
            if found := await self._search(top):
                return found
            after = top.index - 1
        else:
            after = 0
        reading = await self._read(after=after, wait=self._wait)
        try:
            item = self._deliveries.receive(reading.index, reading.items, early=early)
        except WentBack:
            reading = await self._read(consistent=True)
            try:
                item = self._deliveries.receive(reading.index, reading.items, early=False)
            except WentBack as error:
                self._history.replaced()
                raise Reset(str(error)) from error
        self._whole = clock.now()
        quiet = isinstance(item, Bookmark) and early
        self._spurious = self._spurious + 1 if quiet else 0
        return item, reading.seconds

    async def _search(self, top: Listing) -> tuple[Batch | Bookmark, float] | None:
        """The same, without reading everything; None where there is little or that cannot be told. It costs a
        small part of what reading everything does, most of the time it takes is on the way."""
        started = clock.now()
        if len(self._deliveries.keys) <= LITTLE or started - self._whole > WHOLE_EVERY:
            return None
        search = Search(self._client, self._history, self._deliveries.keys, self._deliveries.ask)
        try:
            index, parts = await search.find(top)
            item = self._deliveries.receive_parts(index, parts)
        except (Unclear, WentBack) as error:
            log.debug("read_whole", prefix=self._prefix, reason=str(error))
            return None
        self._history.read(index)
        self._spurious = 0
        return item, (clock.now() - started) / 4

    async def _read(self, *, after: int = 0, wait: float = 0.0, consistent: bool = False) -> Reading:
        return await read_prefix(
            self._client, self._history, self._prefix, after=after, wait=wait, consistent=consistent
        )

    def _pause(self, item: Batch | Bookmark, busy: float) -> float:
        """Leave as much time between two answers as reading one takes."""
        if self._spurious > SPURIOUS_BURST:
            return SPURIOUS_PAUSE
        return min(busy, MOST_PAUSE) if isinstance(item, Batch) else 0.0
