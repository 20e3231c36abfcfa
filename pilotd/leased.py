"""Records in the registry that live as long as this process wants them, or shortly after its death."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

from artemon.backoff import Backoff
from artemon.errors import StoreError
from artemon.log import Log
from artemon.store.api import ABSENT, MAX_TXN_BYTES, MAX_TXN_OPS, Check, Delete, Lease, Op, Put, Store

BATCH = MAX_TXN_OPS // 2
"""Records of one transaction, each with its check."""
OVERHEAD = 512
"""Bytes allowed for a key and its framing."""


@dataclass(slots=True)
class _Record:
    """wanted: None to be deleted. newest: makes what is wanted since. version: what we believe the key is at;
    None: not known. mine: whether it is still for this process to write, whoever wrote it last."""

    wanted: bytes | None
    newest: Callable[[], bytes] | None = None
    version: int | None = ABSENT
    mine: bool = True


class LeasedRecords:
    """Keeps a set of keys as wanted, under one lease that is renewed while `run` runs.

    Every write is compare-and-set. A key that someone else wrote meanwhile is taken over when it is wanted
    here, and left to its new owner when it was on its way out. After the lease is lost,
    everything is written again under a new one. pause: seconds between batches of writes; gather: seconds
    from the first news to the write, so that what happens at once is written at once. failed: is told why
    something could not be written, and "" when everything is.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        *,
        ttl: float,
        pause: float = 0.0,
        gather: float = 0.0,
        failed: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._store = store
        self._log = log
        self._ttl = ttl
        self._pause = pause
        self._gather = gather
        self._failed = failed
        self._records: dict[str, _Record] = {}
        self._dirty: dict[str, None] = {}
        self._news = asyncio.Event()

    def put(self, key: str, value: bytes) -> None:
        """The key shall have this value."""
        record = self._records.setdefault(key, _Record(None))
        record.mine = True
        if record.wanted != value or key in self._dirty:
            record.wanted, record.newest = value, None
            self._touch(key)

    def put_newest(self, key: str, value: Callable[[], bytes]) -> None:
        """The key shall have what `value` returns at the time of writing."""
        record = self._records.setdefault(key, _Record(None))
        record.mine, record.newest = True, value
        self._touch(key)

    def leave(self, key: str, value: bytes | None) -> None:
        """The key shall have this value (None: not exist), unless it is someone else's by now."""
        record = self._records.get(key)
        if record is not None:
            record.wanted, record.newest, record.mine = value, None, False
            self._touch(key)

    def lost(self, keys: Collection[str]) -> None:
        """Somebody deleted them: those that are wanted are written again."""
        for key in keys:
            if (record := self._records.get(key)) is not None and record.mine:
                record.version = ABSENT
                self._touch(key)

    def again(self) -> None:
        """The registry is another one, or an older state of it: everything is written again."""
        for key, record in self._records.items():
            record.version = None
            self._touch(key)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are wanted."""
        return tuple(
            key for key, record in self._records.items() if record.wanted is not None or record.newest
        )

    @property
    def written(self) -> bool:
        """Whether the registry has everything as it is wanted."""
        return not self._dirty

    def _touch(self, key: str) -> None:
        self._dirty[key] = None
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled. The lease is not revoked then: a successor has its ttl to take over."""
        backoff = Backoff(first=0.1, most=3.0)
        while True:
            lease: Lease | None = None
            try:
                lease = await self._store.lease(self._ttl)
            except StoreError as error:
                await self._trouble(error, backoff)
            if lease is not None:
                self._dirty.update(dict.fromkeys(self._records))
                await self._keep(lease, backoff)
                self._log.warning("lease_lost", keys=len(self._records))

    async def _keep(self, lease: Lease, backoff: Backoff) -> None:
        """Flush whenever there is news, until the lease is lost."""
        while not lease.lost.is_set():
            if not self._dirty:
                self._failed("")
                await self._news_or(lease.lost)
                await asyncio.sleep(self._gather)
                continue
            try:
                await self._flush(lease)
                backoff.reset()
                await asyncio.sleep(self._pause)
            except StoreError as error:
                await self._trouble(error, backoff)

    async def _trouble(self, error: StoreError, backoff: Backoff) -> None:
        self._failed(str(error))
        self._log.warning("records_not_written", reason=error, keys=len(self._dirty))
        await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    async def _news_or(self, lost: asyncio.Event) -> None:
        self._news.clear()
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(self._news.wait()), tasks.create_task(lost.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _flush(self, lease: Lease) -> None:
        batch = self._batch()
        wanted = {key: self._records[key].wanted for key in batch}
        checks: list[Check] = []
        ops: list[Op] = []
        for key in batch:
            value, version = wanted[key], self._records[key].version
            checks.append(Check(key, ABSENT if version is None else version))
            ops.append(Delete(key) if value is None else Put(key, value, lease.id))
        try:
            result = await self._store.txn(checks, ops)
        except StoreError:
            for key in batch:
                self._records[key].version = None
            self._dirty.update(dict.fromkeys(batch))
            raise
        for key in batch if result.ok else ():
            self._written(key, wanted[key], result.position.revision)
        for key in () if result.ok else result.failed or batch:
            await self._learn(key, lease)

    def _batch(self) -> list[str]:
        """The next keys to write, within the limits of one transaction."""
        batch: list[str] = []
        size = 0
        for key in self._dirty:
            record = self._records[key]
            if record.newest is not None:
                record.wanted, record.newest = record.newest(), None
            size += len(record.wanted or b"") + OVERHEAD
            if len(batch) == BATCH or (batch and size > MAX_TXN_BYTES):
                break
            batch.append(key)
        return batch

    def _written(self, key: str, value: bytes | None, revision: int) -> None:
        record = self._records[key]
        record.version = ABSENT if value is None else revision
        if record.wanted == value and record.newest is None:
            self._dirty.pop(key, None)
            if value is None:
                del self._records[key]

    async def _learn(self, key: str, lease: Lease) -> None:
        """Another wrote the key: take it over if it is wanted here, else leave it to its new owner."""
        entry = await self._store.get(key)
        record = self._records[key]
        if not record.mine and (entry is None or entry.lease != lease.id):
            del self._records[key]
            self._dirty.pop(key, None)
        else:
            record.version = entry.version if entry else ABSENT
