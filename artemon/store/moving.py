"""Moving a mesh from one registry to another: copy, follow, verify. Nothing that was there is overwritten."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from artemon.errors import StoreError
from artemon.store.api import (
    ABSENT,
    MAX_TXN_BYTES,
    MAX_TXN_OPS,
    Batch,
    Bookmark,
    Check,
    Delete,
    Deleted,
    Entry,
    Op,
    Put,
    Snapshot,
    Store,
    WatchItem,
)
from artemon.store.archive import Archive, digest_of, lasting
from artemon.store.schema import Schema, key_of

SHOWN = 5
Items = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Moved:
    """keys: in the target now. written: by this call. digest: of both sides. revision: of the source."""

    keys: int
    written: int
    digest: str
    revision: int


async def export(store: Store, root: str) -> Archive:
    """Everything under `root` that has no lease. Raises StoreError, also when there is nothing."""
    found = await store.list(root)
    items = lasting(found.entries)
    if not items:
        raise StoreError(f"there is nothing under {root}: is it the right registry, and the right mesh?")
    Schema.of(_find(found.entries, key_of(root))).check(key_of(root))
    return Archive(root, found.position.revision, items)


async def restore(store: Store, archive: Archive) -> Moved:
    """Write what is missing, and verify. A call that was cut off is simply repeated. Raises StoreError, with
    nothing written, when the target holds anything else, or the archive a schema that is too new."""
    key = key_of(archive.root)
    Schema.of(_find([Entry(*item, version=0) for item in archive.items], key)).check(key)
    target = Target(store, archive.root)
    await target.open(archive.items)
    written = await target.write(archive.items)
    return await target.verified(archive.items, written, archive.revision)


class Target:
    """The registry that is written to. versions: what this process wrote or found equal."""

    def __init__(self, store: Store, root: str) -> None:
        self._store, self.root = store, root
        self._versions: dict[str, int] = {}
        self._values: dict[str, bytes] = {}

    @property
    def keys(self) -> list[str]:
        """What it holds, as far as this process knows."""
        return sorted(self._values)

    def holds(self, items: Items) -> bool:
        """Whether it should hold exactly `items` by now."""
        return dict(items) == self._values

    async def open(self, items: Items) -> None:
        """Raises StoreError when it holds what `items` do not, or otherwise."""
        wanted = dict(items)
        found = [entry for entry in (await self._store.list(self.root)).entries if not entry.lease]
        other = [entry.key for entry in found if wanted.get(entry.key) != entry.value]
        if other:
            more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
            shown = ", ".join(other[:SHOWN]) + more
            raise StoreError(f"the target already holds something else: {shown}; nothing was written")
        self._versions = {entry.key: entry.version for entry in found}
        self._values = {entry.key: entry.value for entry in found}

    async def write(self, items: Items, gone: Sequence[str] = ()) -> int:
        """Make the target hold `items` and not `gone`, each only over what this process knows; how many were
        written. Raises StoreError when somebody else wrote there."""
        ops: list[Op] = [Put(key, value) for key, value in items if self._values.get(key) != value]
        ops += [Delete(key) for key in gone if key in self._versions]
        for part in _parts(ops):
            checks = [Check(op.key, self._versions.get(op.key, ABSENT)) for op in part]
            result = await self._store.txn(checks, part)
            if not result.ok:
                key = result.failed[0]
                raise StoreError(f"{key}: somebody else writes to the target; it is left as it is")
            for op in part:
                if isinstance(op, Put):
                    self._versions[op.key], self._values[op.key] = result.position.revision, op.value
                else:
                    del self._versions[op.key], self._values[op.key]
        return len(ops)

    async def verified(self, items: Items, written: int, revision: int) -> Moved:
        """Read everything back. Raises StoreError when it is not the same."""
        now = lasting((await self._store.list(self.root)).entries)
        if digest_of(now) != digest_of(items):
            raise StoreError("the target does not hold what was written: somebody else writes there")
        return Moved(len(now), written, digest_of(now), revision)


async def migrate(source: Store, target_store: Store, root: str, tell: Callable[[Moved], None]) -> None:
    """Copy, then follow until cancelled; `tell` whenever both sides were verified to be the same. What has a
    lease is not copied: its owners write it anew. Raises StoreError, with the target left as it is."""
    target, written, synced = Target(target_store, root), 0, False
    items = cast("AsyncGenerator[WatchItem]", source.watch(root))
    async with aclosing(items):
        async for item in items:
            if isinstance(item, Snapshot):
                wanted = lasting(item.entries)
                if not synced:
                    await target.open(wanted)
                known = {key for key, _ in wanted}
                written += await target.write(wanted, [key for key in target.keys if key not in known])
            elif isinstance(item, Batch):
                written += await target.write(*_split(item))
            if isinstance(item, Snapshot | Batch | Bookmark):
                found = await _same(source, target, written)
                synced = synced or found is not None
                if found is not None:
                    tell(found)


async def _same(source: Store, target: Target, written: int) -> Moved | None:
    """Both sides compared; None when the source went on meanwhile: its watch will tell."""
    now = await source.list(target.root)
    if not target.holds(lasting(now.entries)):
        return None
    return await target.verified(lasting(now.entries), written, now.position.revision)


def _split(batch: Batch) -> tuple[Items, list[str]]:
    last: dict[str, Entry | Deleted] = {change.key: change for change in batch.changes}
    puts = [(one.key, one.value) for one in last.values() if isinstance(one, Entry) and not one.lease]
    return puts, [key for key, one in last.items() if isinstance(one, Deleted) or one.lease]


def _parts(ops: Sequence[Op]) -> list[list[Op]]:
    """Transactions within the limits."""
    parts: list[list[Op]] = []
    size = 0
    for op in ops:
        own = len(op.key) + (len(op.value) if isinstance(op, Put) else 0)
        if not parts or len(parts[-1]) >= MAX_TXN_OPS // 2 or size + own > MAX_TXN_BYTES // 2:
            parts.append([])
            size = 0
        parts[-1].append(op)
        size += own
    return parts


def _find(entries: Sequence[Entry], key: str) -> Entry | None:
    return next((entry for entry in entries if entry.key == key), None)
