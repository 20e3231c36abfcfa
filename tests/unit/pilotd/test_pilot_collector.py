"""pilotd's memory is searched for cycles when there is time, and in the end even when there is not."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from pilotd import collector
from pilotd.collector import ALL_SECONDS, Collector


class Cycle:
    """Freed by a search alone."""

    def __init__(self) -> None:
        self.me = self


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.quiet = 0.0

    def collector(self) -> Collector:
        return Collector(lambda: self.quiet, now=lambda: self.now)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(100_000, 1000, 1000)
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def grow(searches: int) -> None:
    """Let Python count as many searches of what is young."""
    for _ in range(searches):
        gc.collect(1)


def test_new_cycles_go_when_there_is_time() -> None:
    clock, alive = Clock(), weakref.ref(Cycle())
    found = clock.collector()
    clock.quiet = 10.0
    assert not found.look()
    grow(collector.GROWN)
    clock.quiet = 0.0
    assert not found.look()
    alive = weakref.ref(Cycle())
    clock.quiet = 10.0
    assert found.look()
    assert alive() is None
    assert gc.get_freeze_count()


def test_too_many_are_not_waited_with() -> None:
    clock = Clock()
    grow(4 * collector.GROWN)
    assert clock.collector().look()


def test_what_is_old_is_searched_too_but_rarely() -> None:
    clock = Clock()
    found, old = clock.collector(), Cycle()
    gc.freeze()
    alive = weakref.ref(old)
    del old
    clock.quiet = 10.0
    grow(collector.GROWN)
    assert found.look()
    assert alive() is not None
    clock.now = ALL_SECONDS
    assert found.look()
    assert alive() is None


async def test_settings_are_back_in_the_end() -> None:
    before = gc.get_threshold()
    task = asyncio.ensure_future(Clock().collector().run())
    await asyncio.sleep(0)
    assert gc.get_threshold()[0] == collector.YOUNG
    assert gc.get_freeze_count()
    task.cancel()
    await asyncio.wait({task})
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
