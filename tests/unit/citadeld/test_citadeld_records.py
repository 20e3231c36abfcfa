"""Records of several certificates in one transaction: for each caller as if alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from artemon.errors import Unavailable, Unknown
from artemon.store.api import ABSENT, MAX_TXN_OPS, Check, Op, Put, Store, TxnResult
from artemon.store.base import Forwarding
from artemon.store.open import open_store
from citadeld.records import Records


class Counting(Forwarding):
    """A store that tells how many operations came in each transaction. error: raised once instead."""

    error: Exception | None = None

    def __init__(self, plain: Store) -> None:
        super().__init__(plain)
        self.sizes: list[int] = []

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        self.sizes.append(len(ops))
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return await self.plain.txn(checks, ops)


@asynccontextmanager
async def written() -> AsyncIterator[tuple[Counting, Records]]:
    store = Counting(await open_store("memory://"))
    records = Records(store)
    running = asyncio.ensure_future(records.run())
    try:
        yield store, records
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await store.close()


async def new(records: Records, key: str, *more: Check) -> TxnResult:
    return await records.commit([Check(key, ABSENT), *more], [Put(key, key.encode())])


async def test_what_comes_together_is_written_together() -> None:
    async with written() as (store, records):
        results = await asyncio.gather(*(new(records, f"k{number}") for number in range(100)))
        assert all(result.ok for result in results)
        assert sum(store.sizes) == 100
        assert len(store.sizes) == 2, "the limit of a transaction, and no more"
        assert max(store.sizes) == MAX_TXN_OPS
        assert len((await store.plain.list("k")).entries) == 100


async def test_nobody_fails_for_another() -> None:
    """A check that does not hold is its caller's alone, whoever else was in the transaction."""
    async with written() as (store, records):
        await store.plain.put("taken", b"")
        await store.plain.put("banned", b"")
        banned = Check("banned", ABSENT)
        asked = [new(records, "a"), new(records, "taken"), new(records, "b", banned), new(records, "c")]
        first, second, third, fourth = await asyncio.gather(*asked)
        assert first.ok
        assert fourth.ok
        assert (second.ok, second.failed) == (False, ("taken",))
        assert (third.ok, third.failed) == (False, ("banned",))
        there = [await store.plain.get(key) for key in "abc"]
        assert [entry is not None for entry in there] == [True, False, True]


async def test_one_key_is_given_once() -> None:
    """Of several that want the same, the first has it and the others are told."""
    async with written() as (store, records):
        results = await asyncio.gather(*(new(records, "one") for _ in range(20)))
        assert [result.ok for result in results] == [True, *[False] * 19]
        assert {result.failed for result in results[1:]} == {("one",)}
        assert max(store.sizes) == 1, "no key twice in a transaction"


async def test_later_checks_see_earlier_writes() -> None:
    async with written() as (_, records):
        results = await asyncio.gather(new(records, "a"), new(records, "b", Check("a", ABSENT)))
        assert [result.ok for result in results] == [True, False]


@pytest.mark.parametrize("error", [Unknown("perhaps"), Unavailable("surely not")])
async def test_everyone_is_told_of_a_failure(error: Exception) -> None:
    async with written() as (store, records):
        store.error = error
        asked = (new(records, f"k{number}") for number in range(3))
        assert await asyncio.gather(*asked, return_exceptions=True) == [error] * 3
        assert (await new(records, "k0")).ok, "and the next goes on"


async def test_a_caller_who_went_harms_nobody() -> None:
    async with written() as (store, records):
        asked = [asyncio.ensure_future(new(records, f"k{number}")) for number in range(3)]
        await asyncio.sleep(0)
        asked[1].cancel()
        await asyncio.wait(asked)
        assert asked[0].result().ok
        assert asked[2].result().ok
        assert await store.plain.get("k1") is None


async def test_who_waits_at_the_end_does_not_wait_for_ever() -> None:
    async with written() as (_, records):
        asked = asyncio.ensure_future(new(records, "k"))
        await asyncio.sleep(0)
    with pytest.raises(Unknown):
        await asked


async def test_large_ones_go_alone() -> None:
    """The limit of bytes holds for all together."""
    async with written() as (store, records):
        large = [records.commit([], [Put(f"k{number}", bytes(200_000))]) for number in range(3)]
        assert all(result.ok for result in await asyncio.gather(*large))
        assert store.sizes == [1, 1, 1]
