"""Where reports come in: counted at once, written in batches; what is too much is dropped and counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from artemon.log import Log
from mixerd.counts import Counts
from mixerd.keep import Keep
from mixerd.records import Call, Span

FLUSH_SECONDS = 0.5
TRIM_SECONDS = 30.0


class Desk:
    """Takes records. Nothing that it does waits for the disk."""

    def __init__(
        self,
        keep: Keep,
        counts: Counts,
        metrics: CollectorRegistry,
        log: Log,
        *,
        pending: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.keep, self.counts, self.now = keep, counts, now
        self._log = log
        self._pending = pending
        self._calls: list[Call] = []
        self._spans: list[Span] = []
        self.access = asyncio.Lock()
        taken = Counter("mixerd_records", "Logs and spans that were taken.", ["kind"], registry=metrics)
        lost = Counter("mixerd_dropped", "Logs and spans that were too many.", ["kind"], registry=metrics)
        self._taken = {kind: taken.labels(kind) for kind in ("log", "span")}
        self._lost = {kind: lost.labels(kind) for kind in ("log", "span")}
        waiting = Gauge("mixerd_pending", "Logs and spans that wait to be written.", registry=metrics)
        waiting.set_function(lambda: len(self._calls) + len(self._spans))

    def calls(self, calls: Iterable[Call]) -> None:
        """Take lines: each is counted, even when it cannot be kept."""
        now = self.now()
        for call in calls:
            self.counts.add(call, now)
            self._take("log", self._calls, call)

    def spans(self, spans: Iterable[Span]) -> None:
        """Take spans."""
        for span in spans:
            self._take("span", self._spans, span)

    def _take(self, kind: str, waiting: list[Call] | list[Span], record: Call | Span) -> None:
        if len(self._calls) + len(self._spans) >= self._pending:
            self._lost[kind].inc()
            return
        self._taken[kind].inc()
        waiting.append(record)  # type: ignore[arg-type]

    async def run(self) -> None:
        """Write what came in, until cancelled."""
        trimmed = 0.0
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()
            if self.now() - trimmed > TRIM_SECONDS:
                trimmed = self.now()
                async with self.access:
                    await asyncio.to_thread(self.keep.trim, trimmed)

    async def flush(self) -> None:
        """Write what waits; what cannot be written is lost and counted."""
        calls, self._calls = self._calls, []
        spans, self._spans = self._spans, []
        if not calls and not spans:
            return
        try:
            async with self.access:
                await asyncio.to_thread(self.keep.write, calls, spans)
        except OSError as error:
            self._lost["log"].inc(len(calls))
            self._lost["span"].inc(len(spans))
            self._log.error("records_not_written", reason=error, calls=len(calls), spans=len(spans))
