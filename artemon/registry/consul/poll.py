"""Blocking queries by Consul's rules: when the index means something, and how often to ask."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from artemon.backoff import Backoff
from artemon.errors import StoreError
from artemon.registry.consul.client import Answer, Client
from artemon.registry.consul.settings import ConsulSettings


@dataclass(slots=True)
class Index:
    """The index to ask with; 0: do not block. fell: whether the last answer came from before an earlier one
    (a restored or replaced store, or a reaped tombstone)."""

    asked: int = 0
    last: int = 0
    fell: bool = False

    def took(self, index: int, *, early: bool) -> None:
        """An answer with `index` came, `early`: before its wait was over. One that is early and brings
        nothing newer comes from a restore, and may be the old state: the next query must not block."""
        self.fell = index < self.last
        stuck = early and self.asked > 0 and index == self.asked
        self.last = index
        self.asked = 0 if self.fell or stuck else index

    def failed(self) -> None:
        """After an error the index means nothing."""
        self.asked = 0


@dataclass(slots=True)
class Bucket:
    """At most `burst` queries at once and `rate` a second over time. Time: any clock that does not jump."""

    burst: float = 2.0
    rate: float = 1.0
    _tokens: float = 2.0
    _at: float = float("-inf")

    def wait(self, now: float) -> float:
        """Take a token; seconds to wait for it."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self.rate)


async def poll(
    client: Client,
    path: str,
    settings: ConsulSettings,
    *,
    index: Index,
    failed: Callable[[StoreError], None],
    now: Callable[[], float],
    only: str = "",
) -> AsyncIterator[tuple[Answer, bool]]:
    """Every new answer, and whether its index fell below that of `index`. Goes on for ever; errors are told
    to `failed`."""
    bucket, backoff = Bucket(), Backoff(0.2, 5.0)
    while True:
        await asyncio.sleep(bucket.wait(now()))
        started = now()
        try:
            answer = await client.get(path, index=index.asked, wait=settings.wait, only=only)
        except StoreError as error:
            failed(error)
            index.failed()
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter
            continue
        backoff.reset()
        index.took(answer.index, early=now() - started < settings.wait)
        yield answer, index.fell
