"""The copy of a prefix: diffs, the guard against replays and against mass removal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.store.api import Batch, Deleted, Entry, Position, Snapshot
from artemon.store.mirror import Mirror

pytestmark = pytest.mark.slow


def at(revision: int, epoch: str = "e") -> Position:
    return Position(epoch, revision)


def entry(key: str, version: int) -> Entry:
    return Entry(key, f"{key}{version}".encode(), version, version)


def mirror_of(*entries: Entry, revision: int = 10, epoch: str = "e") -> Mirror:
    mirror = Mirror()
    mirror.replace(Snapshot(entries, at(revision, epoch)))
    return mirror


def test_a_snapshot_tells_what_changed_upserts_first_by_version() -> None:
    mirror = mirror_of(entry("a", 1), entry("b", 2), entry("c", 3))
    snapshot = Snapshot((entry("b", 12), entry("c", 3), entry("d", 11)), at(12), "compacted")
    changes = mirror.replace(snapshot)
    assert changes.upserts == (entry("d", 11), entry("b", 12))
    assert changes.deletes == (entry("a", 1),)
    assert changes.reason == "compacted"


def test_an_equal_snapshot_changes_nothing() -> None:
    assert not mirror_of(entry("a", 1)).replace(Snapshot((entry("a", 1),), at(11)))


def test_an_older_snapshot_is_let_be() -> None:
    mirror = mirror_of(entry("a", 1))
    assert mirror.replace(Snapshot((), at(9))) is None
    assert dict(mirror.entries) == {"a": entry("a", 1)}


def test_what_is_in_already_is_skipped() -> None:
    mirror = mirror_of(entry("a", 5))
    assert mirror.advance(Batch((entry("b", 10),), at(10))) is None
    changes = mirror.advance(Batch((entry("b", 9), Deleted("a", 10), entry("c", 11)), at(11)))
    assert (changes.upserts, changes.deletes) == ((entry("c", 11),), ())


def test_a_batch_of_another_epoch_is_let_be() -> None:
    assert mirror_of().advance(Batch((entry("a", 11),), at(11, "other"))) is None


def test_a_key_that_came_and_went_in_one_batch_is_no_change() -> None:
    changes = mirror_of().advance(Batch((entry("a", 11), Deleted("a", 12)), at(12)))
    assert not changes


def test_held_keys_stay_until_they_are_back_or_released() -> None:
    mirror = mirror_of(entry("a", 1), entry("b", 2), entry("c", 3))
    empty = Snapshot((), at(1, "new"), "reset")
    assert mirror.drops_most(empty)
    assert mirror.other_history(empty)
    assert not mirror.replace(empty, hold=True)
    assert mirror.held == {"a", "b", "c"}
    assert mirror.advance(Batch((entry("a", 2),), at(2, "new"))).upserts == (entry("a", 2),)
    again = Snapshot((entry("a", 2), entry("b", 3)), at(3, "new"))
    assert not mirror.drops_most(again)
    assert mirror.replace(again).upserts == (entry("b", 3),)
    assert mirror.held == {"c"}
    assert mirror.release().deletes == (entry("c", 3),)
    assert (sorted(mirror.entries), mirror.held) == (["a", "b"], frozenset())


def test_half_of_the_keys_is_not_most() -> None:
    mirror = mirror_of(entry("a", 1), entry("b", 2))
    assert not mirror.drops_most(Snapshot((entry("a", 1),), at(11)))
    assert mirror.drops_most(Snapshot((), at(11)))
    assert not Mirror().drops_most(Snapshot((), at(1)))


HISTORY = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=25)


@given(history=HISTORY, cuts=st.lists(st.integers(1, 6), max_size=25), data=st.data())
def test_whatever_way_history_arrives_the_copy_is_true(
    history: list[tuple[str, bool]], cuts: list[int], data: st.DataObject
) -> None:
    """Batches of any size, repeated ones and snapshots mixed in; whoever applies the changes has the same."""
    changes = [entry(k, n) if put else Deleted(k, n) for n, (k, put) in enumerate(history, 1)]
    truth: dict[str, Entry] = {}
    mirror, handled, start = mirror_of(revision=0), {}, 0
    for size in [*cuts, len(changes)]:
        end = min(start + size, len(changes))
        for change in changes[start:end]:
            if isinstance(change, Deleted):
                truth.pop(change.key, None)
            else:
                truth[change.key] = change
        overlap = data.draw(st.integers(0, start))
        if data.draw(st.booleans()):
            told = mirror.replace(Snapshot(tuple(truth[key] for key in sorted(truth)), at(end)))
        else:
            told = mirror.advance(Batch(tuple(changes[overlap:end]), at(end)))
        for one in told.upserts if told else ():
            handled[one.key] = one
        for one in told.deletes if told else ():
            assert handled.pop(one.key) == one
        start = end
        assert dict(mirror.entries) == truth == handled
