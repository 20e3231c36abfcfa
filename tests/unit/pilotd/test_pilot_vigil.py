"""When a pilotd counts as dead for the others."""

from __future__ import annotations

from artemon.store.api import Entry, Position
from artemon.store.mirror import Changes
from pilotd.vigil import BEAT_SECONDS, DEAD_SECONDS, Pulse

OWN, PEER = "m/status/pilots/a", "m/status/pilots/b"


class Time:
    """Records that come in time, or not."""

    def __init__(self) -> None:
        self.now, self.version = 100.0, 0
        self.pulse = Pulse(OWN, now=lambda: self.now)

    def hear(self, *keys: str, lease: str = "L") -> None:
        self.version += 1
        entries = tuple(Entry(key, b"%d" % self.version, self.version, 1, lease) for key in keys)
        self.pulse.take(Changes(entries, (), Position("e", self.version)))

    def gone(self, key: str) -> None:
        self.version += 1
        self.pulse.take(Changes((), (Entry(key, b"", 1),), Position("e", self.version)))

    def dead(self) -> list[str]:
        return [entry.key for entry in self.pulse.dead()]

    def beats(self, *keys: str, seconds: float) -> set[str]:
        """Everyone of `keys` beats so long; who counted as dead meanwhile."""
        found, end = set[str](), self.now + seconds
        while self.now < end:
            self.hear(*keys)
            for _ in range(4):
                self.now += BEAT_SECONDS / 4
                found |= set(self.dead())
        return found


def test_who_beats_lives() -> None:
    assert Time().beats(OWN, PEER, seconds=60) == set()


def test_who_stops_is_dead_after_a_while() -> None:
    time = Time()
    time.beats(OWN, PEER, seconds=20)
    assert time.beats(OWN, seconds=DEAD_SECONDS - BEAT_SECONDS) == set()
    assert time.beats(OWN, seconds=2 * BEAT_SECONDS) == {PEER}


def test_who_left_is_not_spoken_of() -> None:
    time = Time()
    time.beats(OWN, PEER, seconds=20)
    time.gone(PEER)
    assert time.beats(OWN, seconds=30) == set()


def test_one_that_was_dead_before_we_came_gets_its_time() -> None:
    time = Time()
    time.hear(PEER)
    time.now += 3600
    assert time.beats(OWN, seconds=DEAD_SECONDS - BEAT_SECONDS) == set()
    assert time.beats(OWN, seconds=2 * BEAT_SECONDS) == {PEER}


def test_while_the_registry_stands_still_nobody_is_dead() -> None:
    time = Time()
    time.beats(OWN, PEER, seconds=20)
    time.now += 300
    assert time.dead() == []
    assert time.beats(OWN, seconds=DEAD_SECONDS - BEAT_SECONDS) == set(), "others write again a little later"
    time.hear(PEER)
    assert time.beats(OWN, seconds=BEAT_SECONDS) == set()


def test_one_that_was_asleep_itself_judges_nobody() -> None:
    time = Time()
    time.beats(OWN, PEER, seconds=20)
    time.now += 300
    time.hear(OWN)
    assert time.dead() == []


def test_a_record_without_a_lease_has_nothing_to_end() -> None:
    time = Time()
    time.hear(PEER, lease="")
    assert time.beats(OWN, seconds=30) == set()
