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
from artemon.store.consul.reading import Reading, read_prefix, wait_moved

log = Log("artemon.store.consul")

SPURIOUS_BURST = 10
"""Answers without a change that may follow one another; a prefix without keys wakes on every write."""
SPURIOUS_PAUSE = 0.2
MOST_PAUSE = 1.0


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
        self.alive = clock.now()

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
        """What comes next, and how long it took to be read. A small query waits; then everything is read,
        from the nearest server where it is known how new it must be."""
        ask, sent = self._deliveries.ask, clock.now()
        moved = await wait_moved(self._client, self._prefix, ask, self._wait) if ask else 0
        early = bool(ask) and clock.now() - sent < self._wait
        after = moved - 1 if 1 < ask < moved else 0
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
        quiet = isinstance(item, Bookmark) and early
        self._spurious = self._spurious + 1 if quiet else 0
        return item, reading.seconds

    async def _read(self, *, after: int = 0, wait: float = 0.0, consistent: bool = False) -> Reading:
        return await read_prefix(
            self._client, self._history, self._prefix, after=after, wait=wait, consistent=consistent
        )

    def _pause(self, item: Batch | Bookmark, busy: float) -> float:
        """Every answer brings the whole prefix: leave as much time between two as reading one takes."""
        if self._spurious > SPURIOUS_BURST:
            return SPURIOUS_PAUSE
        return min(busy, MOST_PAUSE) if isinstance(item, Batch) else 0.0
