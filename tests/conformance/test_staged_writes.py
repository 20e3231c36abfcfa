"""F28: writes larger than any transaction are seen whole or not at all, wherever galleyd dies."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence

import pytest

from artemon.errors import StoreError, Unknown
from artemon.store.api import ABSENT, Batch, Check, Deleted, Op, Put, Snapshot, Store, TxnResult
from artemon.store.layout import Layout
from artemon.store.whole import Whole
from galleyd.stager import Busy, Stager

OBJECTS = 130
OLD, NEW = b'{"is":"old"}', b'{"is":"new"}'


class Dies(Exception):
    """The process is gone."""


class Dying:
    """A registry whose user dies at the `last`-th write: just before it, or just `after` it."""

    def __init__(self, store: Store, last: int, *, after: bool) -> None:
        self._store, self._last, self._after, self.writes = store, last, after, 0
        self.get, self.list, self.watch = store.get, store.list, store.watch

    async def _write(self, write: Callable[[], object]) -> object:
        self.writes += 1
        if self.writes > self._last or (self.writes == self._last and not self._after):
            raise Dies
        result = await write()  # type: ignore[misc]
        if self.writes == self._last:
            raise Dies
        return result

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> object:
        return await self._write(lambda: self._store.txn(checks, ops))

    async def put(self, key: str, value: bytes) -> object:
        return await self._write(lambda: self._store.put(key, value))

    async def delete(self, key: str, *, if_version: int) -> object:
        return await self._write(lambda: self._store.delete(key, if_version=if_version))


class Reader:
    """Follows what is in force. torn: states that were neither old nor new."""

    def __init__(self, layout: Layout, states: Sequence[Mapping[str, bytes]]) -> None:
        self._layout, self._states = layout, states
        self.state: dict[str, bytes] = {}
        self.versions: dict[str, int] = {}
        self.torn: list[int] = []
        self.synced = asyncio.Event()

    async def run(self, store: Store) -> None:
        async for item in store.watch(self._layout.configs):
            if isinstance(item, Snapshot):
                self.state.clear()
            changes = (
                item.entries
                if isinstance(item, Snapshot)
                else item.changes
                if isinstance(item, Batch)
                else ()
            )
            for change in changes:
                if isinstance(change, Deleted):
                    self.state.pop(change.key, None)
                else:
                    assert change.version >= self.versions.get(change.key, 0)
                    self.state[change.key] = change.value
                    self.versions[change.key] = change.version
            if self.state not in self._states:
                self.torn.append(len(self.state))
            self.synced.set()


async def eventually(done: Callable[[], bool]) -> None:
    """Within a time that no machine takes."""
    async with asyncio.timeout(30):
        while not done():
            await asyncio.sleep(0.01)


class Site:
    """Half of the objects exist and are changed, the first ten of them deleted; the other half is new."""

    def __init__(self, store: Store) -> None:
        self.store, self.layout = store, Layout(f"test-{uuid.uuid4().hex[:12]}")
        keys = [self.layout.config("gateways", "shop", f"g{number:03d}") for number in range(OBJECTS)]
        self.old = dict.fromkeys(keys[: OBJECTS // 2], OLD)
        self.new = dict.fromkeys(keys[10:], NEW)
        self.values: dict[str, bytes | None] = {key: self.new.get(key) for key in keys}
        self.known: dict[str, int] = {}

    async def fill(self) -> None:
        keys = list(self.old)
        for start in range(0, len(keys), 50):
            ops = [Put(key, OLD) for key in keys[start : start + 50]]
            version = (await self.store.txn((), ops)).position.revision
            self.known |= {op.key: version for op in ops}
        self.known |= {key: ABSENT for key in self.values if key not in self.known}

    async def seen(self) -> dict[str, bytes]:
        """What is in force, by list and by get."""
        whole = Whole(self.store, self.layout)
        found = {entry.key: entry.value for entry in (await whole.list(self.layout.configs)).entries}
        for key in (min(self.values), max(self.values)):
            entry = await whole.get(key)
            assert (entry and entry.value) == found.get(key)
        return found

    async def plain(self) -> dict[str, bytes]:
        return {entry.key: entry.value for entry in (await self.store.list(self.layout.configs)).entries}

    async def write(self, store: Store, *, grace: float = 5.0) -> object:
        record = Put(self.layout.history(1), b"{}")
        return await Stager(store, self.layout, grace=grace).write(
            self.values, self.known, checks=(), ops=[record]
        )


@pytest.fixture
async def site(store: Store) -> Site:
    site = Site(store)
    await site.fill()
    return site


async def test_a_large_write_is_switched_to_at_once(site: Site, other: Store) -> None:
    reader = Reader(site.layout, (site.old, site.new))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reader.run(Whole(other, site.layout)))
        await reader.synced.wait()
        done = await site.write(site.store)
        entries = {entry.key: entry.version for entry in (await site.store.list(site.layout.configs)).entries}
        # what readers know may be compared and set
        await eventually(lambda: reader.state == site.new and reader.versions.items() >= entries.items())
        task.cancel()
    assert done.result.ok
    assert reader.torn == []
    assert await site.plain() == site.new, "nothing is left beside the objects"
    assert {key: done.versions[key] for key in entries} == entries


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_death_between_any_two_steps_leaves_old_or_new(store: Store, other: Store, after: bool) -> None:
    """Every step of one write, on registries of their own that begin alike."""
    last, ended, outcomes = 0, False, set()
    while not ended:
        last += 1
        one = Site(store)
        await one.fill()
        reader = Reader(one.layout, (one.old, one.new))
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(reader.run(Whole(other, one.layout)))
            await reader.synced.wait()
            dying = Dying(one.store, last, after=after)
            try:
                ended = bool(await one.write(dying)) and dying.writes < last  # type: ignore[arg-type]
            except Dies:
                ended = False
            left = await one.seen()
            assert left in (one.old, one.new)
            outcomes.add(left == one.new)
            await Stager(one.store, one.layout, grace=0.1).tidy()
            assert await one.plain() == left == await one.seen(), "what was in force is in place, and no more"
            await eventually(lambda reader=reader, left=left: reader.state == left)
            watching.cancel()
        assert reader.torn == []
    assert outcomes == {False, True}


async def test_of_two_writes_of_the_same_objects_one_is_lost(site: Site, other: Store) -> None:
    done = await asyncio.gather(site.write(site.store), site.write(other))
    assert sorted(one.result.ok for one in done) == [False, True]
    assert await site.plain() == site.new


async def test_a_small_write_waits_for_a_large_one(site: Site) -> None:
    stager = Stager(site.store, site.layout, grace=0.2)
    key = max(site.values)
    with pytest.raises(Dies):
        await site.write(Dying(site.store, 2, after=True))  # type: ignore[arg-type]
    refused = await site.store.txn([stager.idle], [Put(key, b"{}")])
    assert refused.failed == (site.layout.switch,)
    await stager.settled()
    assert (await site.store.txn([stager.idle], [Put(key, b"{}")])).ok
    await stager.tidy()
    assert await site.plain() == {**site.old, key: b"{}"}


async def test_damaged_parts_are_told_and_nothing_is_overwritten(site: Site) -> None:
    with pytest.raises(Dies):
        await site.write(Dying(site.store, 3, after=True))  # type: ignore[arg-type]
    assert await site.seen() == site.new
    staged = (await site.store.list(site.layout.staged)).entries
    part = next(entry.key for entry in staged if entry.key != site.layout.switch)
    await site.store.put(part, b"nonsense")
    assert await site.seen() == site.old
    with pytest.raises(StoreError, match="damaged or gone; delete the key and apply again"):
        await Stager(site.store, site.layout, grace=0.1).tidy()
    await site.store.put(site.layout.switch, b"nonsense")
    with pytest.raises(StoreError, match="is no switch of a staged write; delete the key"):
        await Stager(site.store, site.layout, grace=0.1).tidy()
    assert await site.seen() == site.old


class Vague:
    """A registry that does not say what became of the switch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.get, self.list, self.put, self.delete = store.get, store.list, store.put, store.delete

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        result = await self._store.txn(checks, ops)
        if len(checks) > 1:
            raise Unknown("it did not answer")
        return result


async def test_a_switch_of_unknown_outcome_is_finished_all_the_same(site: Site) -> None:
    with pytest.raises(Unknown):
        await site.write(Vague(site.store))  # type: ignore[arg-type]
    assert await site.seen() == site.new
    await Stager(site.store, site.layout, grace=0.1).tidy()
    assert await site.plain() == site.new


async def test_who_keeps_others_waiting_is_named(site: Site) -> None:
    """Large writes follow one another without end."""
    stager, begun, stop = Stager(site.store, site.layout, grace=0.1), asyncio.Event(), asyncio.Event()

    async def others() -> None:
        while not stop.is_set():
            await site.store.put(site.layout.switch, b'{"write":"w","state":"staging","parts":0,"sha256":""}')
            begun.set()
            await asyncio.sleep(0.01)

    task = asyncio.ensure_future(others())
    await begun.wait()
    with pytest.raises(Busy, match="another large write of configuration is under way"):
        await stager.settled()
    stop.set()
    await task
