"""Watches of etcd that lose, repeat and delay what they tell."""

from __future__ import annotations

import random
from collections.abc import Callable

from artemon.api.v1 import etcd_pb2 as pb


class Losing:
    """Changes answers of watches. share: of what is told, that is drawn to be lost, repeated or late. lost:
    the keys of events, and whether they were deletions."""

    def __init__(self, seed: int, *, share: float) -> None:
        self._chance, self.share = random.Random(seed), share
        self.lost: list[tuple[str, bool]] = []
        self.repeated = self.late = 0

    def stream(self) -> Callable[[str, bytes], list[bytes]]:
        """What changes the answers of one call."""
        kept: list[bytes] = []
        return lambda method, answer: self._told(answer, kept) if method == "Watch" else [answer]

    def _told(self, answer: bytes, kept: list[bytes]) -> list[bytes]:
        """kept: what comes after the next one."""
        told = pb.WatchResponse.FromString(answer)
        if not told.events:
            return [answer]
        left = []
        for event in told.events:
            if self._drawn():
                self.lost.append((event.kv.key.decode(), event.type == pb.Event.DELETE))
            else:
                left.append(event)
        del told.events[:]
        told.events.extend(left)
        found = [told.SerializeToString()] if left else []
        if found and not kept and self._drawn():
            self.late += 1
            kept += found
            return []
        if found and self._drawn():
            self.repeated += 1
            found *= 2
        found += kept
        kept.clear()
        return found

    def _drawn(self) -> bool:
        return self._chance.random() < self.share
