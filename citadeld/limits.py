"""How often one caller may ask: token buckets in a bounded table."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """per_second: lasting rate. burst: how many at once."""

    per_second: float
    burst: float


class Limiter:
    """One bucket per name; the bucket that was not used for longest makes room for a new one."""

    def __init__(self, rate: Rate, *, most: int = 10_000) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, name: str, *, now: float) -> bool:
        """Whether `name` may ask once more at `now` (seconds of a clock that does not jump)."""
        level, at = self._buckets.pop(name, (self._rate.burst, now))
        level = min(self._rate.burst, level + max(0.0, now - at) * self._rate.per_second)
        allowed = level >= 1
        self._buckets[name] = (level - 1 if allowed else level, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return allowed
