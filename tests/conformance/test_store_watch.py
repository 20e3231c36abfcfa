"""Watching: a snapshot, then every lasting change, in whole revisions."""

from __future__ import annotations

import asyncio
import random

import pytest
from observe import Observer, observing

from artemon.store.api import Batch, Bookmark, Delete, Deleted, Op, Put, Snapshot, Store


async def test_it_starts_with_what_is_there(store: Store, prefix: str) -> None:
    written = await store.put(prefix + "a", b"1")
    async with observing(store, prefix) as seen:
        first = seen.items[0]
        assert isinstance(first, Snapshot)
        assert (first.reason, first.position.revision >= written.position.revision) == ("start", True)
        assert seen.state == {prefix + "a": b"1"}


async def test_changes_of_another_client_arrive_in_order(store: Store, other: Store, prefix: str) -> None:
    async with observing(store, prefix) as seen:
        for number in range(50):
            await other.put(f"{prefix}{number % 7}", str(number).encode())
        await other.put(prefix[:-1] + "-neighbour", b"")
        last = await other.delete(prefix + "3")
        await seen.until(lambda one: one.position.revision >= last.position.revision)
        assert seen.state == {entry.key: entry.value for entry in (await other.list(prefix)).entries}
        assert seen.reasons == ["start"]


async def test_a_transaction_is_delivered_whole(store: Store, other: Store, prefix: str) -> None:
    async with observing(store, prefix) as seen:
        for number in range(20):
            value = str(number).encode()
            await other.txn([], [Put(prefix + "a", value), Put(prefix + "b", value)])
        await seen.until(lambda one: one.state.get(prefix + "a") == b"19")
        for item in seen.items:
            if isinstance(item, Batch):
                pairs = {(change.key[-1], change.version) for change in item.changes}
                assert {("b", version) for key, version in pairs if key == "a"} <= pairs


async def test_of_many_keys_what_changed_is_told_and_nothing_else(
    store: Store, other: Store, prefix: str
) -> None:
    """So many that a backend may look for what changed, rather than read them all."""
    names = [f"{prefix}shop/s{service}/n{number}" for service in range(12) for number in range(100)]
    for start in range(0, len(names), 60):
        await store.txn([], [Put(name, b"0") for name in names[start : start + 60]])
    dice = random.Random(1)
    async with observing(store, prefix) as seen:
        before = len(seen.items)
        for number in range(30):
            ops: list[Op] = [Put(name, str(number).encode()) for name in dice.sample(names, 2)]
            ops.append(Put(f"{prefix}{dice.choice(('bank', 'shop'))}/s{number}/new", b""))
            gone = dice.choice([name for name in names if name not in {op.key for op in ops}])
            names.remove(gone)
            await other.txn([], [*ops, Delete(gone)])
            await asyncio.sleep(dice.uniform(0, 0.1))
        last = await other.put(prefix + "last", b"")
        await seen.until(lambda one: one.position.revision >= last.position.revision)
        assert seen.state == {entry.key: entry.value for entry in (await other.list(prefix)).entries}
        assert seen.reasons == ["start"]
        changes = [len(item.changes) for item in seen.items[before:] if isinstance(item, Batch)]
        assert sum(changes) <= 30 * 4 + 1


async def test_a_delete_is_seen_though_the_key_is_back(store: Store, other: Store, prefix: str) -> None:
    await store.put(prefix + "a", b"1")
    async with observing(store, prefix) as seen:
        await other.delete(prefix + "a")
        await other.put(prefix + "a", b"2")
        await seen.until(lambda one: one.state.get(prefix + "a") == b"2")
        changes = [change for item in seen.items if isinstance(item, Batch) for change in item.changes]
        assert [type(change) is Deleted for change in changes] == [True, False]


async def test_a_reader_that_is_slow_gets_everything(store: Store, other: Store, prefix: str) -> None:
    """10 MB pile up while nobody reads."""
    observer = Observer(store, prefix)
    items = store.watch(prefix)
    observer.take(await anext(items))
    for number in range(40):
        await other.txn([], [Put(f"{prefix}{number}/{part}", bytes(16_000)) for part in range(16)])
    async with asyncio.timeout(20):
        while len(observer.state) < 640:
            observer.take(await anext(items))
    await items.aclose()


async def test_a_quiet_watch_gives_proof_of_life(backend: str, url: str, opened, prefix: str) -> None:
    store = await opened(url, bookmark=0.2)
    async with observing(store, prefix) as seen:
        await seen.until(lambda one: sum(isinstance(item, Bookmark) for item in one.items) >= 2)


@pytest.mark.parametrize("backend", ["memory", "sqlite"], indirect=True)
async def test_history_that_is_gone_is_replaced_by_a_snapshot(
    backend: str, url: str, opened, prefix: str
) -> None:
    store = await opened(url, keep_revisions=10, sweep=0.1)
    observer, items = Observer(store, prefix), store.watch(prefix)
    observer.take(await anext(items))
    for number in range(40):
        await store.put(f"{prefix}{number}", b"")
    await asyncio.sleep(0.5)
    async with asyncio.timeout(10):
        while len(observer.state) < 40:
            observer.take(await anext(items))
    await items.aclose()
    assert observer.reasons == ["start", "compacted"]
