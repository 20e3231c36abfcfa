"""The embedded registry's transactions against a plain dict."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from artemon.store.api import ABSENT, Batch, Check, Delete, Entry, Op, Put, Snapshot
from artemon.store.mirror import Mirror
from artemon.store.sqlite.database import Database, Retention

pytestmark = pytest.mark.slow

KEYS = st.sampled_from(["a", "a/b", "a/c", "ab", "b", "~"])
VALUES = st.binary(max_size=3)


@dataclass
class Clock:
    """Time that only tests move."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Model:
    """What the registry should hold. deadlines: of leases, by id."""

    entries: dict[str, Entry] = field(default_factory=dict)
    revision: int = 0
    deadlines: dict[str, float] = field(default_factory=dict)

    def write(self, ops: list[Op]) -> None:
        gone = [op.key for op in ops if isinstance(op, Delete) and op.key in self.entries]
        puts = [op for op in ops if isinstance(op, Put)]
        if not gone and not puts:
            return
        self.revision += 1
        for key in gone:
            del self.entries[key]
        for op in puts:
            old = self.entries.get(op.key)
            created = old.created if old else self.revision
            self.entries[op.key] = Entry(op.key, op.value, self.revision, created, op.lease)

    def expire(self, now: float) -> None:
        for lease in [name for name, deadline in self.deadlines.items() if deadline <= now]:
            self.end(lease)

    def end(self, lease: str) -> None:
        self.deadlines.pop(lease, None)
        bound = [Delete(key) for key, entry in self.entries.items() if entry.lease == lease]
        self.write([*bound])


class Registry(RuleBasedStateMachine):
    """Two watchers follow: one takes every change, one only now and then, so that history overtakes it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.model = Clock(), Model()
        self.eager, self.lazy = Mirror(), Mirror()

    @initialize()
    def opened(self) -> None:
        self.database = Database(
            ":memory:", retention=Retention(revisions=4), now=self.clock, boot="b", wall=self.clock
        )
        for mirror in (self.eager, self.lazy):
            mirror.replace(self.database.list("a"))

    def teardown(self) -> None:
        self.database.close()

    @rule(data=st.data(), keys=st.lists(KEYS, min_size=1, max_size=3, unique=True))
    def txn(self, data: st.DataObject, keys: list[str]) -> None:
        self.model.expire(self.clock())
        ops: list[Op] = [
            Delete(key) if data.draw(st.booleans()) else Put(key, data.draw(VALUES), self._lease(data))
            for key in keys
        ]
        checked = data.draw(st.lists(KEYS, max_size=2, unique=True))
        checks = [Check(key, data.draw(self._version_near(key))) for key in checked]
        failed = tuple(check.key for check in checks if check.version != self._version(check.key))
        result = self.database.txn(checks, ops, deadline=0)
        if not failed:
            self.model.write(ops)
        assert (result.ok, result.failed, result.position.revision) == (
            not failed,
            failed,
            self.model.revision,
        )

    def _lease(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(["", *self.model.deadlines]))

    def _version(self, key: str) -> int:
        entry = self.model.entries.get(key)
        return entry.version if entry else ABSENT

    def _version_near(self, key: str) -> st.SearchStrategy[int]:
        return st.sampled_from([self._version(key), ABSENT, self.model.revision + 1])

    @rule(ttl=st.integers(2, 9), keys=st.lists(KEYS, max_size=2, unique=True))
    def bind(self, ttl: int, keys: list[str]) -> None:
        self.model.expire(self.clock())
        lease = self.database.grant(ttl, deadline=0)
        self.model.deadlines[lease] = self.clock() + ttl
        for op in [Put(key, b"bound", lease) for key in keys]:
            self.model.write([op])
            assert self.database.txn([], [op], deadline=0).ok

    @rule(count=st.integers(1, 6))
    def burst(self, count: int) -> None:
        """As many revisions as history keeps, or a few more or less, then compaction."""
        self.model.expire(self.clock())
        for op in [Put("a", str(number).encode()) for number in range(count)]:
            self.model.write([op])
            assert self.database.txn([], [op], deadline=0).ok
        self.database.compact(deadline=0)

    @precondition(lambda self: self.model.deadlines)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(list(self.model.deadlines)))
        self.database.revoke(lease, deadline=0)
        self.model.end(lease)

    @rule(seconds=st.integers(1, 5))
    def time_passes(self, seconds: int) -> None:
        self.clock.seconds += seconds
        self.database.maintain(deadline=0)
        self.model.expire(self.clock())

    @rule()
    def lazy_looks(self) -> None:
        self._follow(self.lazy)
        assert dict(self.lazy.entries) == self._under("a")

    @invariant()
    def eager_sees_all(self) -> None:
        if hasattr(self, "database"):
            self._follow(self.eager)
            assert dict(self.eager.entries) == self._under("a")

    @invariant()
    def what_is_read_is_what_was_written(self) -> None:
        if hasattr(self, "database"):
            assert {entry.key: entry for entry in self.database.list("").entries} == self.model.entries

    def _under(self, prefix: str) -> dict[str, Entry]:
        return {key: entry for key, entry in self.model.entries.items() if key.startswith(prefix)}

    def _follow(self, mirror: Mirror) -> None:
        assert mirror.position is not None
        item = self.database.changes("a", mirror.position)
        if isinstance(item, Snapshot):
            assert item.reason == "compacted"
            mirror.replace(item)
        else:
            assert isinstance(item, Batch)
            mirror.advance(item)


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
