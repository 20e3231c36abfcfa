"""Whether what clients of a registry saw can have happened one after another. No I/O.

Versions are the registry's own claim of an order: it holds if every operation took effect between its call
and its answer, every read shows exactly what the write of that version wrote, and nothing shows that the
registry said was not applied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Write:
    """One attempt on `keys` (one, or the two of a transaction). expected: versions that were checked.
    version: what it got. outcome: refused (a check failed), never (surely not applied), unknown."""

    keys: tuple[str, ...]
    value: str
    start: float
    end: float
    outcome: Literal["ok", "refused", "never", "unknown"]
    version: int = 0
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """What one key was at one time; version 0: absent."""

    key: str
    value: str
    version: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Both keys of a transaction, read at once (or delivered at once)."""

    values: tuple[str, str]
    versions: tuple[int, int]


@dataclass(slots=True)
class History:
    """Everything that was seen. fenced: (fence, version) of every write of a leader that was acknowledged."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    fenced: list[tuple[int, int]] = field(default_factory=list)


def problems(history: History) -> list[str]:
    """Everything that cannot have happened."""
    return [
        *_values(history),
        *_one_winner(history),
        *_order(history),
        *_refused_rightly(history),
        *(f"torn: {pair}" for pair in history.pairs if len(set(pair.values)) + len(set(pair.versions)) > 2),
        *_one_leader(history),
    ]


def _values(history: History) -> Iterator[str]:
    acknowledged = {
        (key, one.version): one.value for one in history.writes if one.outcome == "ok" for key in one.keys
    }
    possible = {one.value for one in history.writes if one.outcome in {"ok", "unknown"}}
    shown: dict[tuple[str, int], str] = {}
    for read in history.reads:
        if not read.version:
            continue
        place = (read.key, read.version)
        if read.value not in possible:
            yield f"{read.key} shows {read.value}, which was said not to be applied"
        if acknowledged.get(place, read.value) != read.value:
            yield f"{place} shows {read.value}, but {acknowledged[place]} was written there"
        if shown.setdefault(place, read.value) != read.value:
            yield f"{place} shows {read.value} and {shown[place]}"


def _one_winner(history: History) -> Iterator[str]:
    winners: dict[tuple[str, int], str] = {}
    for one in history.writes:
        if one.outcome != "ok":
            continue
        for key in one.keys:
            if one.expected is not None and winners.setdefault((key, one.expected), one.value) != one.value:
                yield f"{key}: two writes replaced version {one.expected}"
            if one.expected is not None and one.version <= one.expected:
                yield f"{key}: version {one.version} replaced {one.expected}"


def _order(history: History) -> Iterator[str]:
    """What ended before something began does not come after it."""
    steps: dict[str, list[tuple[float, float, int, bool]]] = defaultdict(list)
    for read in history.reads:
        steps[read.key].append((read.start, read.end, read.version, False))
    for one in history.writes:
        if one.outcome == "ok":
            for key in one.keys:
                steps[key].append((one.start, one.end, one.version, True))
    for key, found in steps.items():
        ended = sorted(found, key=lambda step: step[1])
        newest, place = 0, 0
        for start, _, version, wrote in sorted(found):
            while place < len(ended) and ended[place][1] < start:
                newest = max(newest, ended[place][2])
                place += 1
            if version < newest or (wrote and version == newest):
                yield f"{key}: version {version} after {newest} had been seen"


def _refused_rightly(history: History) -> Iterator[str]:
    """A check fails only if somebody else may have written: the version it expected was not the present one
    during the whole call."""
    for one in history.writes:
        if one.outcome != "refused" or one.expected is None:
            continue
        others = [
            other
            for other in history.writes
            if other is not one
            and other.outcome in {"ok", "unknown"}
            and set(other.keys) & set(one.keys)
            and other.start < one.end
            and (other.outcome == "unknown" or other.version > one.expected)
        ]
        if not others:
            yield f"{one.keys}: version {one.expected} was refused, and nobody had replaced it"


def _one_leader(history: History) -> Iterator[str]:
    newest = 0
    for fence, version in sorted(history.fenced, key=lambda one: one[1]):
        if fence < newest:
            yield f"a leader with fence {fence} wrote at {version}, after fence {newest}"
        newest = max(newest, fence)


def summary(history: History) -> str:
    """How much was seen."""
    outcomes: dict[str, int] = defaultdict(int)
    for one in history.writes:
        outcomes[one.outcome] += 1
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    led = len(history.fenced)
    return f"{len(history.writes)} writes ({counts}), {len(history.reads)} reads, {led} by leaders"
