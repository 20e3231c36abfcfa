"""The sink of one registry: its view, saved for a cold start, with its health and the age of what it says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from artemon.backoff import Backoff
from artemon.errors import ArtemonError, StoreError
from artemon.log import Log
from artemon.registry.metrics import RegistryMetrics
from artemon.registry.open import Opened
from artemon.registry.view import View
from artemon.snapshot.changes import Change
from artemon.snapshot.holds import Rules
from artemon.snapshot.services import Source
from artemon.store import saved
from artemon.store.api import Entry, Position, Snapshot

SAVE_EVERY = 5.0
STALE_AFTER = 60.0
"""Seconds without proof of life until a registry counts as stale."""
_SOURCE: TypeAdapter[Source] = TypeAdapter(Source)

Deliver = Callable[[list[Change]], None]


class Keep:
    """Runs one registry and passes on what it tells (implements Sink). Nothing that happens in it reaches
    another registry. synced: set after it was read wholly once; readable: or its saved view was."""

    def __init__(
        self,
        opened: Opened,
        deliver: Deliver,
        *,
        log: Log,
        metrics: RegistryMetrics,
        now: Callable[[], float],
        data_dir: Path | None,
    ) -> None:
        self.opened, self.name = opened, opened.name
        self._deliver, self._now, self._metrics = deliver, now, metrics
        self._log = log.bind(registry=opened.name)
        self._view = View(Rules(hold=opened.settings.hold))
        self._file = data_dir / f"registry-{opened.name}.snapshot" if data_dir else None
        self._alive: float | None = None
        self._trouble = "it has not been read yet"
        self._cold = False
        self._written: dict[str, tuple[Source, Entry]] = {}
        self._unsaved, self._rearmed = asyncio.Event(), asyncio.Event()
        self.synced = asyncio.Event()
        metrics.age.labels(self.name).set_function(lambda: self.age)

    @property
    def age(self) -> float:
        """Seconds since what is shown was surely true; infinite before anything was read."""
        return float("inf") if self._alive is None else max(0.0, self._now() - self._alive)

    @property
    def readable(self) -> bool:
        """Whether there is something to serve: read wholly, or saved when it was."""
        return self.synced.is_set() or self._cold

    def status(self) -> dict[str, Any]:
        """What operators see."""
        age = self.age
        state = "ok" if self.synced.is_set() and not self._trouble and age < STALE_AFTER else "stale"
        return {
            "name": self.name,
            "address": self.opened.address,
            "state": state if self.readable else "unread",
            "reason": self._trouble or ("" if state == "ok" else "no proof of life"),
            "ageSeconds": None if self._alive is None else round(age, 1),
            "services": self._view.services,
            "instances": self._view.instances,
            "held": list(self._view.held),
        }

    def replace(self, sources: Iterable[Source], *, proven: bool, doubted: bool = False) -> None:
        """See Sink."""
        restarting = self._cold and not self.synced.is_set() and not proven
        changes = self._view.replace(
            sources, now=self._now(), proven=proven, doubted=doubted, restarting=restarting
        )
        first = not self.synced.is_set()
        self.synced.set()
        self.alive()
        if first:
            self._log.info("registry_synced", services=len(self._view.shown))
        self._pass_on(changes, always=first)

    def update(
        self,
        sources: Iterable[Source],
        gone: Iterable[str] = (),
        *,
        proven: bool,
        doubted: bool = False,
    ) -> None:
        """See Sink."""
        now = self._now()
        self._pass_on(self._view.update(sources, gone, proven=proven, doubted=doubted, now=now))

    def alive(self) -> None:
        """See Sink."""
        if self._trouble and self.synced.is_set():
            self._log.info("registry_answers", was=self._trouble)
            self._trouble = ""
        self._alive = self._now()
        self._metrics.up.labels(self.name).set(1)

    def trouble(self, reason: str) -> None:
        """See Sink."""
        self._metrics.failures.labels(self.name).inc()
        self._metrics.up.labels(self.name).set(0)
        if reason != self._trouble:
            self._log.warning("registry_trouble", reason=reason, kept=len(self._view.shown))
        self._trouble = reason

    def release(self) -> int:
        """Let go what is held: an operator says that it is gone. Returns how many."""
        count = len(self._view.held)
        self._pass_on(self._view.release())
        return count

    def forget(self) -> None:
        """The registry is none any more: an operator took it out, with all that it told."""
        self._pass_on([*self._view.replace((), proven=True, now=self._now()), *self._view.release()])
        self._metrics.forget(self.name)
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    async def run(self) -> None:
        """Keep the view true until cancelled."""
        await self._start_cold()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._release_due())
            if self._file is not None:
                tasks.create_task(self._save(self._file))
            await self._run_registry()

    async def _run_registry(self) -> None:
        backoff = Backoff(0.5, 30.0)
        while True:
            try:
                await self.opened.registry.run(self)
                self.trouble("it ended without a reason")
            except* ArtemonError as group:
                self.trouble("; ".join(str(error) for error in group.exceptions))
            except* Exception as group:  # noqa: BLE001 - a defect in one registry must not end the others
                self.trouble(f"this is a fault of the registry's code: {group.exceptions[0]!r}")
                self._log.error("registry_failed", error=repr(group))
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    def _pass_on(self, changes: list[Change], *, always: bool = False) -> None:
        held = len(self._view.held)
        if self._metrics.tell(self.name, self._view, held=held):
            self._log.error("removals_held", instances=held)
        self._rearmed.set()
        if changes or always:
            self._unsaved.set()
            self._deliver(changes)

    async def _release_due(self) -> None:
        while True:
            due = self._view.due
            self._rearmed.clear()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - self._now())):
                    await self._rearmed.wait()
            except TimeoutError:
                self._log.warning("held_removals_released")
                self._pass_on(self._view.release(now=self._now()))

    async def _start_cold(self) -> None:
        if self._file is None:
            return
        try:
            found = await asyncio.to_thread(saved.load, self._file, self.name)
            sources = [_SOURCE.validate_json(entry.value) for entry in found.entries] if found else []
            written = self._file.stat().st_mtime if found else 0.0
        except (StoreError, OSError, ValidationError) as error:
            self._log.warning("saved_view_refused", reason=str(error))
            return
        if found is not None and not self.synced.is_set():
            self._cold = True
            self._alive = self._now() - max(0.0, time.time() - written)
            self._log.warning("started_from_saved_view", services=len(sources), age=round(self.age))
            self._pass_on(self._view.replace(sources, proven=False, now=self._now()), always=True)

    async def _save(self, file: Path) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            if self.synced.is_set():
                try:
                    await asyncio.to_thread(self._write, file, dict(self._view.shown))
                except OSError as error:
                    self._log.warning("view_not_saved", reason=str(error))
            await asyncio.sleep(SAVE_EVERY)

    def _write(self, file: Path, shown: dict[str, Source]) -> None:
        """Save these sources; only those that are not the ones that were saved last are written out anew."""
        before, self._written = self._written, {}
        for key, source in sorted(shown.items()):
            known = before.get(key)
            if known is None or known[0] is not source:
                known = source, Entry(key, _SOURCE.dump_json(source, fallback=dict, warnings=False), 1)
            self._written[key] = known
        entries = tuple(entry for _, entry in self._written.values())
        saved.save(file, self.name, Snapshot(entries, Position(self.name, 1), "saved"))
