"""Handlers at work: what is waiting for each, sent in batches, tried again after pauses, bounded by bytes."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from sys import getsizeof
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from artemon.adapters import Handler, Place, Row, Unacceptable
from artemon.adapters.api import Count
from artemon.adapters.rulebook import HandlerConfig
from artemon.backoff import Backoff
from artemon.errors import ArtemonError
from artemon.log import Log

BATCH = 500
SEND_SECONDS = 30.0
CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds. gather: that rows wait for others. first, most: between tries of a handler that fails."""

    gather: float = 0.5
    first: float = 0.5
    most: float = 60.0


class HandlerMetrics:
    """What operators see, by handler."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter("mixerd_rows_sent", "Rows that handlers took.", ["handler"], registry=registry)
        self.lost = Counter(
            "mixerd_rows_dropped", "Rows that no handler got.", ["handler", "reason"], registry=registry
        )
        self.waiting = Gauge("mixerd_rows_bytes", "Memory of rows that wait for handlers.", registry=registry)


@dataclass(slots=True)
class Budget:
    """Memory that rows of all handlers may take together."""

    most: int
    used: int = 0

    def take(self, size: int) -> bool:
        """Whether there was room."""
        if self.used + size > self.most:
            return False
        self.used += size
        return True


def size_of(value: Any) -> int:
    """Bytes that a row's values take, nested ones counted."""
    if isinstance(value, Mapping):
        return getsizeof(value) + sum(size_of(one) for one in value.values())
    return getsizeof(value)


@dataclass(slots=True)
class Running:
    """One handler and what waits for it. failing: why it did not take rows the last time."""

    config: HandlerConfig
    handler: Handler
    budget: Budget
    metrics: HandlerMetrics
    log: Log
    pauses: Pauses
    failing: str = ""
    sent: int = 0
    dropped: int = 0
    size: int = 0
    rows: deque[tuple[Row, int]] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, row: Row) -> None:
        """Let a row wait; it is dropped and counted when there is no room."""
        size = getsizeof(row) + size_of(row.values) + 120
        if not self.budget.take(size):
            self._lose(1, "full")
            return
        self.size += size
        self.rows.append((row, size))
        self.news.set()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        backoff = Backoff(self.pauses.first, self.pauses.most)
        while True:
            await self.news.wait()
            if not self.failing and len(self.rows) < BATCH:
                await asyncio.sleep(self.pauses.gather)
            if await self.send():
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    async def send(self) -> bool:
        """Send one batch; whether it went."""
        batch = list(islice(self.rows, BATCH))
        if not batch:
            self.news.clear()
            return True
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.handler.report([row for row, _ in batch])
        except Unacceptable as error:
            self.log.error("rows_refused", handler=self.config.name, rows=len(batch), reason=error)
            self._gone(batch)
            self._lose(len(batch), "refused")
        except (ArtemonError, OSError) as error:  # TimeoutError is an OSError
            if not self.failing:
                self.log.error("handler_fails", handler=self.config.name, reason=_said(error))
            self.failing = _said(error)
            return False
        except Exception as error:  # noqa: BLE001 - a plug-in's own fault must not end the daemon
            self.log.error("handler_is_broken", handler=self.config.name, reason=repr(error))
            self.failing = repr(error)
            self._gone(batch)
            self._lose(len(batch), "broken")
            return False
        else:
            self._gone(batch)
            self.sent += len(batch)
            self.metrics.sent.labels(self.config.name).inc(len(batch))
        if self.failing:
            self.log.info("handler_works", handler=self.config.name)
            self.failing = ""
        if not self.rows:
            self.news.clear()
        return True

    async def close(self) -> None:
        """Send what waits, as far as that goes at once, and end."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self.rows and await self.send():
                    pass
                await self.handler.close()
        except Exception as error:  # noqa: BLE001 - as above
            self.log.warning("handler_not_closed", handler=self.config.name, reason=_said(error))
        self._lose(len(self.rows), "closed")
        self._gone(list(self.rows))

    def _gone(self, batch: list[tuple[Row, int]]) -> None:
        for _, size in batch:
            self.rows.popleft()
            self.size -= size
            self.budget.used -= size

    def _lose(self, count: int, reason: str) -> None:
        self.dropped += count
        if count:
            self.metrics.lost.labels(self.config.name, reason).inc(count)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


class Handlers:
    """All handlers of a rulebook. most_bytes: memory that waiting rows may take."""

    def __init__(
        self,
        *,
        folder: Path,
        metrics: CollectorRegistry,
        log: Log,
        now: Callable[[], float],
        most_bytes: int,
        count: Count | None = None,
        pauses: Pauses = Pauses(),
    ) -> None:
        self._folder, self._registry, self._log, self._now = folder, metrics, log, now
        self._count, self._pauses = count, pauses
        self.metrics, self.budget = HandlerMetrics(metrics), Budget(most_bytes)
        self.metrics.waiting.set_function(lambda: self.budget.used)
        self.running: dict[str, Running] = {}
        self.refused: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def become(self, wanted: Mapping[str, HandlerConfig], tasks: asyncio.TaskGroup) -> None:
        """Open what is new, close what is gone; a changed one is both."""
        for name, running in list(self.running.items()):
            if name not in wanted or wanted[name].version != running.config.version:
                await self._end(name)
        self.refused = {name: why for name, why in self.refused.items() if name in wanted}
        for name, config in wanted.items():
            if name not in self.running:
                self._open(config, tasks)

    def _open(self, config: HandlerConfig, tasks: asyncio.TaskGroup) -> None:
        namespace, _, name = config.name.partition("/")
        place = Place(
            name=config.name,
            log=self._log.bind(handler=config.name),
            metrics=self._registry,
            folder=self._folder / namespace / name,
            now=self._now,
            **({"count": self._count} if self._count else {}),
        )
        try:
            handler = config.adapter.open(config.params, place)
        except Exception as error:  # noqa: BLE001 - a plug-in's own fault must not end the daemon
            self.refused[config.name] = _said(error)
            self._log.error("handler_not_opened", handler=config.name, reason=_said(error))
            return
        self.refused.pop(config.name, None)
        running = Running(config, handler, self.budget, self.metrics, self._log, self._pauses)
        self.running[config.name] = running
        self._tasks[config.name] = tasks.create_task(running.run(), name=f"handler {config.name}")

    async def _end(self, name: str) -> None:
        self._tasks.pop(name).cancel()
        await self.running.pop(name).close()

    async def close(self) -> None:
        """End all."""
        for name in list(self.running):
            await self._end(name)

    def status(self) -> list[dict[str, Any]]:
        """Each handler, whether it works, and what waits for it."""
        found = [
            {
                "name": name,
                "adapter": one.config.adapter_name,
                "state": "failing" if one.failing else "ok",
                "reason": one.failing,
                "waiting": len(one.rows),
                "waitingBytes": one.size,
                "sent": one.sent,
                "dropped": one.dropped,
            }
            for name, one in self.running.items()
        ]
        found += [{"name": name, "state": "refused", "reason": why} for name, why in self.refused.items()]
        return sorted(found, key=lambda one: str(one["name"]))
