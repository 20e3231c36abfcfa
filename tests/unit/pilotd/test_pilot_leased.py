"""Records stay as wanted, whatever happens to their lease and whoever else writes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pilot_clients import until

from artemon.errors import Unavailable
from artemon.log import Log
from artemon.store.api import Entry, Lease, Store, TxnResult
from artemon.store.open import open_store
from pilotd.leased import LeasedRecords

KEY = "artemon/default/workloads/ns/s/n"


class Shaky:
    """A registry in memory whose leases and writes a test can break."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.leases: list[Lease] = []
        self.down = False

    async def lease(self, ttl: float) -> Lease:
        self.leases.append(await self.store.lease(ttl))
        return self.leases[-1]

    async def txn(self, checks, ops) -> TxnResult:
        if self.down:
            raise Unavailable("the registry is away")
        return await self.store.txn(checks, ops)

    async def get(self, key: str) -> Entry | None:
        return await self.store.get(key)

    async def is_(self, value: bytes | None) -> None:
        async with asyncio.timeout(5):
            while (entry := await self.get(KEY)) is not None or value is not None:
                if entry is not None and entry.value == value:
                    return
                await asyncio.sleep(0.01)


@asynccontextmanager
async def kept(told: list[str] | None = None) -> AsyncIterator[tuple[Shaky, LeasedRecords]]:
    shaky = Shaky(await open_store("memory://"))
    failed = (lambda reason: None) if told is None else told.append
    records = LeasedRecords(shaky, Log("test"), ttl=5.0, failed=failed)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(records.run())
        yield shaky, records
        work.cancel()
    await shaky.store.close()


async def test_records_come_and_go() -> None:
    async with kept() as (shaky, records):
        records.put(KEY, b"1")
        await shaky.is_(b"1")
        records.put(KEY, b"2")
        await shaky.is_(b"2")
        records.leave(KEY, None)
        await shaky.is_(None)


async def test_records_are_written_again_under_a_new_lease() -> None:
    async with kept() as (shaky, records):
        records.put(KEY, b"1")
        await shaky.is_(b"1")
        await shaky.leases[0].revoke()
        await until(lambda: len(shaky.leases) == 2)
        await shaky.is_(b"1")
        entry = await shaky.get(KEY)
        assert entry is not None
        assert entry.lease == shaky.leases[1].id


async def test_writes_wait_for_a_registry_that_is_away() -> None:
    async with kept() as (shaky, records):
        shaky.down = True
        records.put(KEY, b"1")
        await asyncio.sleep(0.05)
        shaky.down = False
        await shaky.is_(b"1")


async def test_why_nothing_is_written_is_told_until_it_is() -> None:
    told: list[str] = []
    async with kept(told) as (shaky, records):
        shaky.down = True
        records.put(KEY, b"1")
        await until(lambda: "the registry is away" in told)
        assert told[-1] == "the registry is away"
        shaky.down = False
        await shaky.is_(b"1")
        await until(lambda: told[-1] == "")


async def test_what_another_wrote_is_taken_over_when_wanted_and_left_when_not() -> None:
    async with kept() as (shaky, records):
        await shaky.store.put(KEY, b"other")
        records.put(KEY, b"1")
        await shaky.is_(b"1")
        await shaky.store.put(KEY, b"other")
        records.leave(KEY, b"bye")
        records.leave(KEY, None)
        await until(lambda: not records.keys)
        await shaky.is_(b"other")


async def test_many_records_take_several_transactions() -> None:
    async with kept() as (shaky, records):
        for number in range(150):
            records.put(f"{KEY}{number:03}", b"x")
        async with asyncio.timeout(5):
            while len((await shaky.store.list(KEY)).entries) < 150:
                await asyncio.sleep(0.01)


async def test_what_is_made_late_is_made_once_a_write_and_never_lost() -> None:
    async with kept() as (shaky, records):
        made: list[bytes] = []

        def newest() -> bytes:
            made.append(b"%d" % len(made))
            return made[-1]

        shaky.down = True
        for _ in range(5):
            records.put_newest(KEY, newest)
        assert KEY in records.keys
        assert not made
        shaky.down = False
        await until(lambda: bool(made))
        await shaky.is_(made[-1])
        records.put_newest(KEY, lambda: b"last")
        await shaky.is_(b"last")
        records.put_newest(KEY, newest)
        records.leave(KEY, None)
        await shaky.is_(None)


async def test_what_somebody_deletes_is_written_again_while_it_is_wanted() -> None:
    async with kept() as (shaky, records):
        records.put(KEY, b"a")
        await shaky.is_(b"a")
        await shaky.store.delete(KEY)
        records.lost([KEY, "artemon/default/workloads/ns/s/of-another"])
        await shaky.is_(b"a")
        records.leave(KEY, None)
        await shaky.is_(None)
        records.lost([KEY])
        await asyncio.sleep(0.05)
        assert await shaky.get(KEY) is None


async def test_an_older_state_is_written_over() -> None:
    """A backup was put back: the lease in it is ours, what it holds is not what is wanted."""
    async with kept() as (shaky, records):
        records.put(KEY, b"new")
        await shaky.is_(b"new")
        await shaky.store.put(KEY, b"old", lease=shaky.leases[0].id)
        records.again()
        await shaky.is_(b"new")
