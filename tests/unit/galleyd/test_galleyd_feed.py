"""The log of changes: whoever follows it, at any pace, ends with the registry's state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.store.api import Batch, Bookmark, Deleted, Entry, Position, Snapshot
from galleyd.feed import Behind, Feed

KEYS = st.sampled_from(["a", "b", "c"])
STEP = st.tuples(st.sampled_from(["put", "delete", "restart", "mark", "read"]), KEYS)


class World:
    """A registry in small: what a watch would deliver after each step."""

    def __init__(self) -> None:
        self.revision, self.state = 1, {}
        self.feed = Feed(max_changes=6)
        self.feed.take(Snapshot((), self.position))

    @property
    def position(self) -> Position:
        return Position("epoch", self.revision)

    def put(self, key: str) -> None:
        self.revision += 1
        entry = Entry(key, str(self.revision).encode(), self.revision)
        self.state[key] = entry
        self.feed.take(Batch((entry,), self.position))

    def delete(self, key: str) -> None:
        if self.state.pop(key, None):
            self.revision += 1
            self.feed.take(Batch((Deleted(key, self.revision),), self.position))

    def restart(self, key: str) -> None:
        """Writes that the watch missed, then a snapshot."""
        self.revision += 2
        if self.state.pop(key, None) is None:
            self.state[key] = Entry(key, b"new", self.revision - 1)
        self.feed.take(Snapshot(tuple(self.state.values()), self.position, "gap"))

    def mark(self, _: str) -> None:
        self.revision += 1
        self.feed.take(Bookmark(self.position))


class Reader:
    """Follows as a watching client does."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.list()

    def list(self) -> None:
        self.seen = {entry.key: entry.value for entry in self.feed.values()}
        self.revision = self.feed.position.revision

    def read(self) -> None:
        try:
            changes = self.feed.since(self.revision, self.feed.generation)
        except Behind:
            self.list()
            return
        for change in changes:
            assert change.revision >= self.revision
            assert self.seen.get(change.key) == change.before
            self.revision = change.revision
            if change.after is None:
                del self.seen[change.key]
            else:
                self.seen[change.key] = change.after


@pytest.mark.slow
@given(st.lists(STEP, max_size=40))
def test_a_reader_at_any_pace_sees_every_lasting_state(steps: list[tuple[str, str]]) -> None:
    world = World()
    reader = Reader(world.feed)
    for what, key in steps:
        reader.read() if what == "read" else getattr(world, what)(key)
    reader.read()
    assert reader.seen == {key: entry.value for key, entry in world.state.items()}


def test_another_epoch_makes_every_reader_list_again() -> None:
    world = World()
    world.put("a")
    world.feed.take(Snapshot((), Position("other", 50), "reset"))
    with pytest.raises(Behind):
        world.feed.since(2, generation=1)
    assert list(world.feed.since(50, world.feed.generation)) == []


def test_the_log_is_bounded_in_bytes() -> None:
    feed = Feed(max_bytes=10_000)
    feed.take(Snapshot((), Position("epoch", 1)))
    for revision in range(2, 100):
        feed.take(Batch((Entry("a", b"x" * 1000, revision),), Position("epoch", revision)))
    assert sum(change.size for change in feed.since(feed.floor, feed.generation)) <= 10_000
    with pytest.raises(Behind):
        feed.since(2, feed.generation)
