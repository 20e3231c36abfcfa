"""Watching as a consumer does: a copy kept from the items of a watch, and what was seen on the way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from servers import dying_with_parent

from artemon.store.api import Batch, Bookmark, Deleted, Position, Snapshot, Stale, Store, WatchItem


class Observer:
    """state: key -> value as the items say. Fails on what no watch may do."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self.items: list[WatchItem] = []
        self.state: dict[str, bytes] = {}
        self.position: Position | None = None
        self._versions: dict[str, int] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        async for item in self._store.watch(self._prefix):
            self.take(item)
            self._changed.set()

    def take(self, item: WatchItem) -> None:
        self.items.append(item)
        if isinstance(item, Stale):
            return
        assert self.position is not None or isinstance(item, Snapshot), "no Snapshot first"
        if isinstance(item, Snapshot):
            assert [one.key for one in item.entries] == sorted(one.key for one in item.entries)
            self.state = {one.key: one.value for one in item.entries}
            self._versions = {one.key: one.version for one in item.entries}
        else:
            assert item.position.epoch == self.position.epoch, "another epoch without a Snapshot"
            assert item.position.revision >= self.position.revision, "went back"
            self._apply(item)
        self.position = item.position

    def _apply(self, item: Batch | Bookmark) -> None:
        for change in item.changes if isinstance(item, Batch) else ():
            assert self.position.revision < change.version <= item.position.revision, "repeated or too early"
            assert change.key.startswith(self._prefix)
            if isinstance(change, Deleted):
                self.state.pop(change.key, None)
            else:
                assert change.version > self._versions.get(change.key, 0), "an older version"
                self.state[change.key], self._versions[change.key] = change.value, change.version

    @property
    def reasons(self) -> list[str]:
        """Why it started over, in order."""
        return [item.reason for item in self.items if isinstance(item, Snapshot)]

    async def until(self, wanted: Callable[[Observer], bool], seconds: float = 10.0) -> None:
        """Return when it is as wanted; fails with what was seen after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not wanted(self):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"not seen in {seconds} s: {len(self.state)} keys, {self.reasons}, at {self.position},"
                f" last {str(self.items[-3:])[:600]}"
            ) from None


@asynccontextmanager
async def observing(store: Store, prefix: str) -> AsyncIterator[Observer]:
    """An observer that has its first snapshot."""
    observer = Observer(store, prefix)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(observer.run())
        await observer.until(lambda one: bool(one.items))
        yield observer
        running.cancel()


async def wait_set(event: asyncio.Event, seconds: float) -> None:
    """Return when `event` is set; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        await event.wait()


@asynccontextmanager
async def actor(role: str, url: str, key: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that does `role` (actor.py); killed at the end."""
    script = str(Path(__file__).with_name("actor.py"))
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(sys.executable, script, role, url, key),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: asyncio.subprocess.Process, seconds: float = 15.0) -> str:
    """The next line that an actor prints."""
    async with asyncio.timeout(seconds):
        return (await process.stdout.readline()).decode().strip()
