"""Who called whom, how often, how fast: counted in spans of time, with latencies in logarithmic steps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mixerd.records import Call

BUCKET_SECONDS = 5
STEP = math.log(1.25)
"""A latency is known to a quarter of itself."""


class Edge(NamedTuple):
    """What calls are told apart by."""

    reporter: str
    source_namespace: str
    source: str
    namespace: str
    service: str
    version: str
    protocol: str


@dataclass(slots=True)
class Count:
    """Calls of an edge. steps: logarithm of milliseconds, in `STEP`s -> calls."""

    calls: int = 0
    failed: int = 0
    encrypted: int = 0
    bytes: int = 0
    steps: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, call: Call) -> None:
        """One more call."""
        self.calls += 1
        self.failed += call.failed
        self.encrypted += call.encrypted
        self.bytes += call.sent + call.received
        self.steps[math.ceil(math.log(max(call.duration, 0.01)) / STEP)] += 1

    def merge(self, other: Count) -> None:
        """The calls of another count."""
        self.calls += other.calls
        self.failed += other.failed
        self.encrypted += other.encrypted
        self.bytes += other.bytes
        for step, number in other.steps.items():
            self.steps[step] += number

    def quantile(self, share: float) -> float:
        """The duration, in milliseconds, within which this share of calls ended; 0 without calls."""
        wanted, seen = share * self.calls, 0
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen >= wanted:
                return round(math.exp(step * STEP), 2)
        return 0.0


def edge_of(call: Call) -> Edge:
    """What a call is counted under."""
    return Edge(
        call.reporter,
        call.source_namespace,
        call.source,
        call.namespace,
        call.service,
        call.version,
        call.protocol,
    )


class Counts:
    """Counts of recent times. seconds: how far back; edges: most that are told apart in one span of time."""

    def __init__(self, *, seconds: float, edges: int = 5000) -> None:
        self._spans = max(1, int(seconds / BUCKET_SECONDS))
        self._edges = edges
        self._by_time: dict[int, dict[Edge, Count]] = {}
        self.overflow = 0

    def add(self, call: Call, now: float) -> None:
        """Count a call, at the time when it is told."""
        slot = int(now / BUCKET_SECONDS)
        edges = self._by_time.get(slot)
        if edges is None:
            edges = self._by_time[slot] = {}
            for old in [one for one in self._by_time if one <= slot - self._spans]:
                del self._by_time[old]
        edge = edge_of(call)
        count = edges.get(edge)
        if count is None:
            if len(edges) >= self._edges:
                self.overflow += 1
                return
            count = edges[edge] = Count()
        count.add(call)

    def window(self, seconds: float, now: float) -> Mapping[Edge, Count]:
        """The counts of the last `seconds`."""
        first, last = int((now - seconds) / BUCKET_SECONDS), int(now / BUCKET_SECONDS)
        found: dict[Edge, Count] = {}
        for slot, edges in self._by_time.items():
            if first < slot <= last:
                for edge, count in edges.items():
                    found.setdefault(edge, Count()).merge(count)
        return found


def total(counts: Iterable[Count]) -> Count:
    """All of them together."""
    out = Count()
    for one in counts:
        out.merge(one)
    return out
