"""The embedded registry: `Store` over one SQLite file, or over memory for one process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from artemon.backoff import Backoff
from artemon.errors import StoreError
from artemon.log import Log
from artemon.store import clock
from artemon.store.api import (
    Batch,
    Bookmark,
    Check,
    Entry,
    Op,
    Position,
    Snapshot,
    Stale,
    TxnResult,
    WatchItem,
)
from artemon.store.base import BaseStore
from artemon.store.lease import RenewedLease
from artemon.store.limits import check_key, check_prefix, check_ttl, check_txn
from artemon.store.sqlite.database import Database, Retention
from artemon.store.sqlite.wake import Wake

R = TypeVar("R")
log = Log("artemon.store.sqlite")


class SqliteSettings(BaseModel):
    """How the embedded registry works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    synchronous: Literal["NORMAL", "FULL"] = Field(
        "NORMAL",
        description="NORMAL: acknowledged writes survive the death of any process; FULL: of the machine.",
    )
    timeout: float = Field(5.0, gt=0, description="Seconds that a call may take.")
    sweep: float = Field(0.5, gt=0, description="Seconds between looks for expired leases.")
    stale_after: float = Field(20.0, gt=0, description="Seconds of failed reading until a watch says Stale.")
    bookmark: float = Field(5.0, gt=0, description="Seconds without change until a watch sends a Bookmark.")
    keep_revisions: int = Field(10_000, ge=1, description="Revisions kept for watchers that are behind.")
    keep_seconds: float = Field(3600.0, gt=0, description="Age of the oldest revision kept.")


class SqliteStore(BaseStore):
    """Implements `Store`. SQLite runs in one worker thread, so the event loop never waits for a lock."""

    def __init__(self, database: Database, pool: ThreadPoolExecutor, settings: SqliteSettings) -> None:
        super().__init__()
        self._database, self._pool, self._settings = database, pool, settings
        self._wake = Wake()

    @classmethod
    async def open(cls, path: str, settings: SqliteSettings) -> SqliteStore:
        """Open the file at `path` (":memory:": a private registry). Raises StoreError."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="artemon-sqlite")

        def connect() -> Database:
            retention = Retention(settings.keep_revisions, settings.keep_seconds)
            boot = clock.boot_id()
            return Database(
                path, synchronous=settings.synchronous, retention=retention, now=clock.now, boot=boot
            )

        try:
            database = await asyncio.get_running_loop().run_in_executor(pool, connect)
        except BaseException:
            pool.shutdown(wait=False)
            raise
        store = cls(database, pool, settings)
        store._work.start(store._maintain(), name="sqlite-maintain")
        if path != ":memory:":
            store._work.start(store._wake.follow(path, store._moved), name="sqlite-wake")
        return store

    async def _run(self, call: Callable[[], R]) -> R:
        self._work.check()
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def _deadline(self) -> float:
        return clock.now() + self._settings.timeout

    async def _moved(self) -> bool:
        return await self._run(self._database.moved)

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        check_key(key)
        return await self._run(lambda: self._database.get(key))

    async def list(self, prefix: str) -> Snapshot:
        """See `Store.list`."""
        check_prefix(prefix)
        return await self._run(lambda: self._database.list(prefix))

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        """See `Store.txn`."""
        check_txn(checks, ops)
        deadline = self._deadline()
        result = await self._run(lambda: self._database.txn(checks, ops, deadline))
        if result.ok:
            self._wake.all()
        return result

    async def lease(self, ttl: float) -> RenewedLease:
        """See `Store.lease`."""
        check_ttl(ttl)
        sent, deadline = clock.now(), self._deadline()
        name = await self._run(lambda: self._database.grant(ttl, deadline))

        async def renew(until: float) -> bool:
            return await self._run(lambda: self._database.renew(name, until))

        async def revoke() -> None:
            await self.revoke(name)

        lease = RenewedLease(name, ttl, granted=sent, renew=renew, revoke=revoke)
        self._work.start(lease.keep(), name=f"lease-{name}")
        return lease

    async def revoke(self, lease: str) -> None:
        """See `Store.revoke`."""
        deadline = self._deadline()
        await self._run(lambda: self._database.revoke(lease, deadline))
        self._wake.all()

    async def watch(self, prefix: str) -> AsyncIterator[WatchItem]:
        """See `Store.watch`."""
        check_prefix(prefix)
        position: Position | None = None
        alive, backoff, quiet = clock.now(), Backoff(0.05, 2.0), False
        with self._wake.listener() as wake:
            while True:
                wake.clear()
                try:
                    item = await self._after(prefix, position)
                except StoreError as error:
                    self._work.check()
                    log.warning("watch_interrupted", prefix=prefix, error=str(error))
                    if (silence := clock.now() - alive) >= self._settings.stale_after:
                        yield Stale(silence, str(error))
                    await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter
                    continue
                alive = clock.now()
                backoff.reset()
                if quiet or not isinstance(item, Bookmark) or item.position != position:
                    yield item
                position = item.position
                quiet = not await _set_within(wake, self._settings.bookmark)

    async def _after(self, prefix: str, position: Position | None) -> Snapshot | Batch | Bookmark:
        if position is None:
            return await self._run(lambda: self._database.list(prefix))
        item = await self._run(lambda: self._database.changes(prefix, position))
        return Bookmark(item.position) if isinstance(item, Batch) and not item.changes else item

    async def _maintain(self) -> None:
        """Expire leases of holders that are gone, whoever they were."""
        while True:
            await asyncio.sleep(self._settings.sweep * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            try:
                if await self._run(partial(self._database.maintain, self._deadline())):
                    self._wake.all()
            except StoreError as error:
                log.warning("maintenance_failed", error=str(error))

    async def close(self) -> None:
        """See `Store.close`."""
        if not self._work.closed:
            await self._work.close()
            self._wake.all()
            await asyncio.get_running_loop().run_in_executor(self._pool, self._database.close)
            self._pool.shutdown(wait=False)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
