"""What changed under a prefix of the registry: the source of every WATCH.

One watch of the registry feeds a bounded log of changes; each client reads it at its own pace. A client that
falls behind the log is told so (410) and lists again. No queue per client.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from artemon.store.api import Batch, Bookmark, Deleted, Entry, Position, Snapshot, WatchItem

MAX_CHANGES = 4096
MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Change:
    """One key at one revision: its value before and after (None: absent)."""

    revision: int
    key: str
    before: bytes | None
    after: bytes | None

    @property
    def size(self) -> int:
        """Bytes held by the log for it."""
        return len(self.key) + len(self.before or b"") + len(self.after or b"")


class Behind(Exception):
    """The asked revision is older than the log."""


class Feed:
    """The values under a prefix, and the log of their changes. Synchronous; `follow` feeds it.

    `floor`: the log is complete for revisions above it. `generation` grows when the registry was replaced
    (another epoch): revisions from before mean nothing any more.
    """

    def __init__(self, *, max_changes: int = MAX_CHANGES, max_bytes: int = MAX_BYTES) -> None:
        self.position = Position("", 0)
        self.floor = 0
        self.generation = 0
        self.closed = False
        self._values: dict[str, Entry] = {}
        self._log: list[Change] = []
        self._bytes = 0
        self._limits = (max_changes, max_bytes)
        self._moved = asyncio.Event()

    def take(self, item: WatchItem) -> None:
        """Take in what the registry's watch delivered."""
        match item:
            case Snapshot():
                self._restart(item)
            case Batch():
                self._append([self._change(change) for change in item.changes])
                self.position = item.position
            case Bookmark():
                self.position = item.position
            case _:
                return
        self._wake()

    @property
    def synced(self) -> bool:
        """Whether a snapshot has been seen."""
        return bool(self.position.epoch)

    def values(self) -> Iterable[Entry]:
        """The entries as last seen."""
        return self._values.values()

    def since(self, revision: int, generation: int) -> Sequence[Change]:
        """The changes above `revision`, oldest first. Raises Behind when the log does not reach back."""
        if generation != self.generation or revision < self.floor:
            raise Behind
        return self._log[bisect_right(self._log, revision, key=_revision) :]

    async def moved(self, timeout: float) -> None:
        """Return at the next change, or after `timeout` seconds."""
        waiting = self._moved
        try:
            async with asyncio.timeout(max(timeout, 0)):
                await waiting.wait()
        except TimeoutError:
            return

    async def until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Return when `done()` holds, asked after each change; False after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not done():
            left = deadline - loop.time()
            if left <= 0:
                return False
            await self.moved(left)
        return True

    def close(self) -> None:
        """The daemon ends: let every waiting client go."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _restart(self, snapshot: Snapshot) -> None:
        known = self.synced and snapshot.position.epoch == self.position.epoch
        fresh = {entry.key: entry for entry in snapshot.entries}
        if known:
            self._append(self._difference(fresh, snapshot.position.revision))
        else:
            self.generation += 1
            self.floor = snapshot.position.revision
            self._log.clear()
            self._bytes = 0
        self._values = fresh
        self.position = snapshot.position

    def _difference(self, fresh: dict[str, Entry], revision: int) -> list[Change]:
        upserts = [
            Change(entry.version, key, self._value(key), entry.value)
            for key, entry in fresh.items()
            if key not in self._values or self._values[key].version != entry.version
        ]
        gone = [Change(revision, key, self._value(key), None) for key in self._values.keys() - fresh.keys()]
        return sorted(upserts, key=_revision) + gone

    def _value(self, key: str) -> bytes | None:
        entry = self._values.get(key)
        return entry.value if entry else None

    def _change(self, change: Entry | Deleted) -> Change:
        before = self._value(change.key)
        if isinstance(change, Deleted):
            self._values.pop(change.key, None)
            return Change(change.version, change.key, before, None)
        self._values[change.key] = change
        return Change(change.version, change.key, before, change.value)

    def _append(self, changes: Sequence[Change]) -> None:
        self._log += changes
        self._bytes += sum(change.size for change in changes)
        most, most_bytes = self._limits
        if len(self._log) > most or self._bytes > most_bytes:
            self._trim(most // 2, most_bytes // 2)

    def _trim(self, most: int, most_bytes: int) -> None:
        cut = 0
        while cut < len(self._log) and (len(self._log) - cut > most or self._bytes > most_bytes):
            self._bytes -= self._log[cut].size
            self.floor = self._log[cut].revision
            cut += 1
        while cut < len(self._log) and self._log[cut].revision == self.floor:
            self._bytes -= self._log[cut].size
            cut += 1
        del self._log[:cut]


def _revision(change: Change) -> int:
    return change.revision
