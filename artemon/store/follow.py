"""The informer: keeps a copy of a prefix true, whatever happens to the registry, and tells what changed.

Level, not edge: the copy is compared with every snapshot. The last state stands while the registry is away.
Nothing is removed on a doubt: when a snapshot lacks more than half of the keys, a linearizable read decides;
when the registry was reset or replaced, the missing keys are held until they are back or released.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from artemon.backoff import Backoff
from artemon.errors import StoreError
from artemon.log import Log
from artemon.store import clock, saved
from artemon.store.api import Batch, Bookmark, Entry, Position, Snapshot, Stale, Store, WatchItem
from artemon.store.mirror import Changes, Mirror

PATIENCE = 1.0
"""Seconds until `wait_for` reads by itself what the watch has not brought."""
SAVE_EVERY = 5.0
"""Seconds between two savings, at least."""


class FollowMetrics:
    """What operators see of the views of a daemon, by `view`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"artemon_store_{name}", text, ["view"], registry=registry)

        self.age = gauge("view_age_seconds", "Seconds since the view was surely current.")
        self.keys = gauge("view_keys", "Keys in the view.")
        self.held = gauge("view_held_keys", "Keys that the registry lost and that are held.")
        self.revision = gauge("view_revision", "Revision of the registry that the view has reached.")
        self.resyncs = Counter(
            "artemon_store_resyncs", "Snapshots taken, by reason.", ["view", "reason"], registry=registry
        )


class Follow:
    """The copy of `prefix`. `handle` gets every change, in order, synchronously; an error in it ends `run`.

    name: the view in metrics and logs. file: where the last snapshot is saved for a cold start. synced: set
    after the first snapshot from the registry itself; a cold start's file alone does not set it. warm: set
    when what that file has is in the copy. trouble: why the registry is silent, "" while it is not. only:
    what the keys below `prefix` start with that are in the copy; all others are left out.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        handle: Callable[[Changes], None],
        *,
        name: str = "world",
        file: Path | None = None,
        metrics: FollowMetrics | None = None,
        now: Callable[[], float] = clock.now,
        only: tuple[str, ...] = (),
    ) -> None:
        self._only = only
        self._store, self._prefix, self._handle, self._now = store, prefix, handle, now
        self._file, self._metrics, self._name = file, metrics, name
        self._mirror, self._turn = Mirror(), asyncio.Lock()
        self._moved, self._unsaved = asyncio.Event(), asyncio.Event()
        self._alive = now()
        self._log = Log("artemon.store.follow", view=name)
        self.synced, self.warm = asyncio.Event(), asyncio.Event()
        self.trouble = ""
        if metrics is not None:
            metrics.age.labels(name).set_function(lambda: self.age)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The copy, by key."""
        return self._mirror.entries

    @property
    def position(self) -> Position | None:
        """Up to where the copy is true; None before there is one."""
        return self._mirror.position

    @property
    def held(self) -> frozenset[str]:
        """Keys that the registry lost and that stay in the copy until they are back or released."""
        return self._mirror.held

    @property
    def saved(self) -> bool:
        """Whether the copy is the one of a cold start's file, and the registry has not been read yet."""
        return self.position is not None and not self.synced.is_set()

    @property
    def age(self) -> float:
        """Seconds since the copy was surely current."""
        return self._now() - self._alive

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._start_cold()
        self.warm.set()
        async with asyncio.TaskGroup() as tasks:
            if self._file is not None:
                tasks.create_task(self._save(self._file))
            async for item in self._store.watch(self._prefix):
                await self._take(item)

    async def wait_for(self, position: Position) -> None:
        """Return when everything up to `position` is in the copy; the caller sets the deadline.

        A position of another epoch than the copy's is waited for until the copy gets there.
        """
        backoff = Backoff(PATIENCE, 4 * PATIENCE)
        while not self._reached(position):
            moved = self._moved
            try:
                async with asyncio.timeout(backoff.next(0.999)):
                    await moved.wait()
            except TimeoutError:
                await self._ask()

    def release(self) -> None:
        """Let held keys go: an operator says that they are gone for good."""
        if changes := self._mirror.release():
            self._tell(changes)

    async def _start_cold(self) -> None:
        if self._file is None:
            return
        try:
            snapshot = await asyncio.to_thread(saved.load, self._file, self._prefix)
            written = self._file.stat().st_mtime if snapshot is not None else 0.0
        except (StoreError, OSError) as error:
            self._log.warning("saved_snapshot_refused", error=str(error))
            return
        if snapshot is not None and (changes := self._mirror.replace(snapshot)) is not None:
            self._alive = self._now() - max(0.0, time.time() - written)
            self._log.info("started_from_saved_snapshot", keys=len(snapshot.entries), file=self._file)
            self._tell(changes)

    async def _ask(self) -> None:
        """Read the state now: the position waited for may be of a write under another prefix."""
        try:
            snapshot = await self._store.list(self._prefix)
        except StoreError as error:
            self._log.debug("not_read", error=str(error))
            return
        await self._take(replace(snapshot, reason="asked"))

    async def _take(self, item: WatchItem) -> None:
        async with self._turn:
            match item:
                case Snapshot():
                    await self._restart(self._mine(item))
                case Batch():
                    mine = tuple(change for change in item.changes if self._is_mine(change.key))
                    self._progress(self._mirror.advance(Batch(mine, item.position)))
                case Bookmark():
                    self._mirror.note(item.position)
                    self._progress(None)
                case Stale():
                    self.trouble = item.reason or "it does not answer"
                    self._log.warning("view_is_stale", seconds=round(item.seconds, 1), reason=self.trouble)

    def _is_mine(self, key: str) -> bool:
        return not self._only or key.startswith(self._only)

    def _mine(self, snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, entries=tuple(one for one in snapshot.entries if self._is_mine(one.key)))

    async def _restart(self, snapshot: Snapshot) -> None:
        hold = False
        if self._mirror.drops_most(snapshot):
            snapshot = await self._confirm(snapshot.reason)
            hold = self._mirror.drops_most(snapshot) and self._mirror.other_history(snapshot)
        changes = self._mirror.replace(snapshot, hold=hold)
        self._log.info("resynced", reason=snapshot.reason, keys=len(snapshot.entries))
        if hold:
            self._log.error("mass_removal_held", held=len(self.held), left=len(snapshot.entries))
        if self._metrics is not None:
            self._metrics.resyncs.labels(self._name, snapshot.reason).inc()
        self._progress(changes)
        self.synced.set()

    async def _confirm(self, reason: str) -> Snapshot:
        """The state, read linearizably, however long that takes: until then nothing is removed."""
        backoff = Backoff(0.1, 5.0)
        while True:
            try:
                snapshot = await self._store.list(self._prefix)
                return self._mine(replace(snapshot, reason=reason))
            except StoreError as error:
                self._log.warning("removal_not_confirmed", error=str(error))
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    def _progress(self, changes: Changes | None) -> None:
        self._alive, self.trouble = self._now(), ""
        if changes is not None:
            self._tell(changes)
        self._wake()

    def _tell(self, changes: Changes) -> None:
        if changes or changes.reason:
            self._handle(changes)
        if self._metrics is not None:
            self._metrics.keys.labels(self._name).set(len(self.entries))
            self._metrics.held.labels(self._name).set(len(self.held))
            self._metrics.revision.labels(self._name).set(changes.position.revision)
        self._unsaved.set()
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _reached(self, position: Position) -> bool:
        own = self._mirror.position
        synced = own is not None and self.synced.is_set()
        return (
            synced and own is not None and own.epoch == position.epoch and own.revision >= position.revision
        )

    async def _save(self, file: Path) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            if self.synced.is_set() and self.position is not None:
                snapshot = Snapshot(tuple(self.entries.values()), self.position, "saved")
                try:
                    await asyncio.to_thread(saved.save, file, self._prefix, snapshot)
                except OSError as error:
                    self._log.warning("snapshot_not_saved", error=str(error))
            await asyncio.sleep(SAVE_EVERY)
