"""The informer: cold start, waiting, and what it does when most of the registry is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from artemon.store import saved
from artemon.store.api import Entry, Position, Snapshot, Store
from artemon.store.follow import Follow, FollowMetrics
from artemon.store.mirror import Changes
from artemon.store.open import open_store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await open_store("memory://")
    yield opened
    await opened.close()


@asynccontextmanager
async def following(follow: Follow) -> AsyncIterator[Follow]:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(follow.run())
        async with asyncio.timeout(5):
            await follow.synced.wait()
        yield follow
        running.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


async def test_changes_are_told_and_can_be_waited_for(store: Store) -> None:
    told: list[Changes] = []
    registry = CollectorRegistry()
    await store.put("a/1", b"x")
    async with following(Follow(store, "a/", told.append, metrics=FollowMetrics(registry))) as follow:
        position = (await store.put("a/2", b"y")).position
        elsewhere = (await store.put("b/1", b"z")).position
        async with asyncio.timeout(5):
            await follow.wait_for(position)
            await follow.wait_for(elsewhere)
        assert [[one.key for one in changes.upserts] for changes in told] == [["a/1"], ["a/2"]]
        assert set(follow.entries) == {"a/1", "a/2"}
        assert registry.get_sample_value("artemon_store_view_keys", {"view": "world"}) == 2
        assert follow.age < 5


async def test_only_what_is_asked_for_is_copied(store: Store) -> None:
    told: list[Changes] = []
    for key in ("a/1/x", "a/2/x", "a/3/x"):
        await store.put(key, b"")
    async with following(Follow(store, "a/", told.append, only=("a/1/", "a/3/"))) as follow:
        await store.put("a/2/y", b"")
        last = (await store.put("a/3/y", b"")).position
        async with asyncio.timeout(5):
            await follow.wait_for(last)
        assert set(follow.entries) == {"a/1/x", "a/3/x", "a/3/y"}
        assert [[one.key for one in changes.upserts] for changes in told] == [["a/1/x", "a/3/x"], ["a/3/y"]]


async def test_a_cold_start_has_the_last_state_and_is_not_synced(store: Store, tmp_path: Path) -> None:
    file, told = tmp_path / "saved", list[Changes]()
    await store.put("a/1", b"x")
    async with following(Follow(store, "a/", lambda _: None, file=file)):
        await until(file.exists)
    await store.close()
    follow = Follow(store, "a/", told.append, file=file)
    task = asyncio.ensure_future(follow.run())
    await until(lambda: bool(told))
    assert ([one.key for one in told[0].upserts], told[0].reason) == (["a/1"], "saved")
    assert not follow.synced.is_set()
    task.cancel()
    await asyncio.wait([task])


async def test_after_a_cold_start_what_is_gone_is_told(store: Store, tmp_path: Path) -> None:
    file, told = tmp_path / "saved", list[Changes]()
    for number in range(3):
        await store.put(f"a/{number}", b"x")
    saved.save(file, "a/", await store.list("a/"))
    await store.delete("a/1")
    async with following(Follow(store, "a/", told.append, file=file)):
        assert [[one.key for one in changes.deletes] for changes in told] == [[], ["a/1"]]


async def test_a_registry_that_lost_its_history_takes_nothing_away(store: Store, tmp_path: Path) -> None:
    """The saved state is of another registry: what it had is held until an operator lets it go."""
    file, told = tmp_path / "saved", list[Changes]()
    entries = tuple(Entry(f"a/{number}", b"x", number) for number in range(1, 6))
    saved.save(file, "a/", Snapshot(entries, Position("another", 99)))
    await store.put("a/1", b"new")
    async with following(Follow(store, "a/", told.append, file=file)) as follow:
        assert follow.held == {"a/2", "a/3", "a/4", "a/5"}
        assert [one.key for changes in told for one in changes.deletes] == []
        await store.put("a/2", b"back")
        await until(lambda: follow.held == {"a/3", "a/4", "a/5"})
        follow.release()
        assert [one.key for one in told[-1].deletes] == ["a/3", "a/4", "a/5"]
        assert set(follow.entries) == {"a/1", "a/2"}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-1], id="cut"),
        pytest.param(lambda content: content.replace(b"a/1", b"a/2"), id="changed"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"\xff\x00" * 100, id="garbage"),
    ],
)
async def test_a_damaged_file_is_not_used(
    store: Store, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file, told = tmp_path / "saved", list[Changes]()
    saved.save(file, "a/", Snapshot((Entry("a/1", b"x", 1),), Position("e", 1)))
    file.write_bytes(damage(file.read_bytes()))
    async with following(Follow(store, "a/", told.append, file=file)) as follow:
        assert dict(follow.entries) == {}


async def test_the_file_of_another_prefix_is_not_used(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "saved"
    saved.save(file, "b/", Snapshot((Entry("b/1", b"x", 1),), Position("e", 1)))
    async with following(Follow(store, "a/", lambda _: None, file=file)) as follow:
        assert dict(follow.entries) == {}


async def test_a_handler_that_fails_ends_the_follower(store: Store) -> None:
    def fail(changes: Changes) -> None:
        raise ValueError("handler")

    with pytest.raises(BaseExceptionGroup) as caught:
        await Follow(store, "a/", fail).run()
    assert caught.group_contains(ValueError, match="handler")


def test_a_saved_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    entries = (Entry("a/1", b"\x00\n\xff", 7, 3, "lease"), Entry("a/2", b"", 8, 8))
    saved.save(tmp_path / "saved", "a/", Snapshot(entries, Position("e", 9)))
    assert saved.load(tmp_path / "saved", "a/") == Snapshot(entries, Position("e", 9), "saved")
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o600
    assert saved.load(tmp_path / "none", "a/") is None
