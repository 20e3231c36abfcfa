"""What is in force while a large write is under way, told as changes: no I/O."""

from __future__ import annotations

import random
import zlib

import pytest

from artemon.errors import StoreError, TooLarge
from artemon.store.api import Batch, Bookmark, Deleted, Entry, Position, Snapshot
from artemon.store.layout import Layout
from artemon.store.staging import (
    MAX_PARTS,
    PART_BYTES,
    STAGING,
    SWITCHED,
    Overlay,
    Switch,
    digest_of,
    pack,
    unpack,
)

LAYOUT = Layout()
A, B, C = (LAYOUT.config("gateways", "shop", name) for name in "abc")
VALUES = {A: b"new", B: None, C: b"new"}
PARTS = pack(VALUES)


def switch(state: str = SWITCHED, version: int = 11, *, parts: int = len(PARTS)) -> Entry:
    value = Switch("w", state, parts, digest_of(PARTS)).encode()
    return Entry(LAYOUT.switch, value, version, version)


def staged(version: int = 10) -> list[Entry]:
    return [Entry(LAYOUT.part("w", number), part, version) for number, part in enumerate(PARTS)]


def batch(*changes: Entry | Deleted) -> Batch:
    return Batch(changes, Position("e", max(change.version for change in changes)))


@pytest.fixture
def overlay() -> Overlay:
    """Before the write: A and B are there."""
    made = Overlay(LAYOUT)
    made.replace(Snapshot((Entry(A, b"old", 1, 1), Entry(B, b"old", 2, 2)), Position("e", 5)))
    return made


@pytest.fixture
def switched(overlay: Overlay) -> Overlay:
    """The same, from the revision of the switch on."""
    overlay.advance(batch(*staged(), switch()))
    return overlay


def shown(overlay: Overlay) -> dict[str, bytes]:
    return {entry.key: entry.value for entry in overlay.entries}


def test_staging_is_not_seen(overlay: Overlay) -> None:
    item = overlay.advance(batch(switch(STAGING, 9), *staged()))
    assert item == Bookmark(Position("e", 10))
    assert shown(overlay) == {A: b"old", B: b"old"}


def test_the_switch_is_one_revision(overlay: Overlay) -> None:
    item = overlay.advance(batch(*staged(), switch()))
    assert item == batch(Entry(A, b"new", 11, 1), Deleted(B, 11), Entry(C, b"new", 11, 11))


def test_a_snapshot_in_between_shows_the_new_state() -> None:
    overlay = Overlay(LAYOUT)
    entries = (Entry(A, b"new", 12, 1), Entry(B, b"old", 2, 2), *staged(), switch())
    found = overlay.replace(Snapshot(entries, Position("e", 12), "compacted"))
    assert found == Snapshot(
        (Entry(A, b"new", 12, 1), Entry(C, b"new", 11, 11)), Position("e", 12), "compacted"
    )


def test_what_comes_into_place_is_told_with_its_own_version_and_the_end_with_nothing(
    switched: Overlay,
) -> None:
    assert switched.advance(batch(Entry(A, b"new", 12, 1))) == batch(Entry(A, b"new", 12, 1))
    assert switched.advance(batch(Deleted(B, 13))) == Bookmark(Position("e", 13))
    switched.advance(batch(Entry(C, b"new", 14, 14)))
    gone = [Deleted(entry.key, 15) for entry in (*staged(), switch())]
    assert switched.advance(batch(*gone)) == Bookmark(Position("e", 15))
    assert shown(switched) == {A: b"new", C: b"new"}
    assert switched.advance(batch(Entry(A, b"newer", 16, 1))) == batch(Entry(A, b"newer", 16, 1))


def test_all_of_it_in_one_batch_is_the_state_after(overlay: Overlay) -> None:
    end = [Deleted(entry.key, 13) for entry in (*staged(), switch())]
    item = overlay.advance(
        batch(*staged(), switch(), Entry(A, b"new", 12, 1), Deleted(B, 12), Entry(C, b"new", 12, 12), *end)
    )
    assert [(change.key, change.version) for change in item.changes] == [(A, 12), (C, 12), (B, 13)]
    assert shown(overlay) == {A: b"new", C: b"new"}


def test_a_hand_that_writes_in_between_counts_from_the_end_on(switched: Overlay) -> None:
    assert switched.advance(batch(Entry(A, b"by hand", 12, 1))) == Bookmark(Position("e", 12))
    switched.advance(batch(Deleted(B, 13), Entry(C, b"new", 13, 13)))
    item = switched.advance(batch(Deleted(LAYOUT.switch, 14)))
    assert item == batch(Entry(A, b"by hand", 14, 1)), "told as something new, or nobody would take it"


def test_a_switch_that_a_hand_takes_away_brings_the_old_state_back(switched: Overlay) -> None:
    item = switched.advance(batch(Deleted(LAYOUT.switch, 12)))
    assert item == batch(Entry(A, b"old", 12, 1), Entry(B, b"old", 12, 2), Deleted(C, 12))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([switch()], id="no-parts"),
        pytest.param([*staged(), switch(parts=9)], id="too-few"),
        pytest.param([Entry(LAYOUT.part("w", 0), b"x", 10), switch()], id="another-part"),
        pytest.param([*staged(), Entry(LAYOUT.switch, b"\xff", 11)], id="no-switch"),
        pytest.param([*staged(), Entry(LAYOUT.switch, b"[]", 11)], id="no-object"),
        pytest.param([*staged(), switch("sideways")], id="unknown-state"),
    ],
)
def test_what_cannot_be_read_puts_nothing_in_force(overlay: Overlay, wrong: list[Entry]) -> None:
    assert isinstance(overlay.advance(batch(*wrong)), Bookmark)
    assert shown(overlay) == {A: b"old", B: b"old"}


def test_only_objects_can_be_staged() -> None:
    values = {A: b"1", LAYOUT.mesh: b"2", LAYOUT.secret("a", "b"): b"3", LAYOUT.switch: b"4", "x": b"5"}
    parts = pack(values)
    assert unpack(Switch("w", SWITCHED, len(parts), digest_of(parts)), parts, LAYOUT) == {A: b"1"}


@pytest.mark.parametrize("content", [b"no zlib", zlib.compress(b"no json"), zlib.compress(b'[["a"]]')])
def test_parts_of_others_are_refused(content: bytes) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        unpack(Switch("w", SWITCHED, 1, digest_of([content])), [content], LAYOUT)


def test_more_than_fits_is_refused_before_it_is_written() -> None:
    value = random.Random(1).randbytes(MAX_PARTS * PART_BYTES)
    with pytest.raises(TooLarge, match="at most"):
        pack({A: value})
