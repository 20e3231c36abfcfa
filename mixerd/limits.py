"""Counting requests for all proxies: fixed windows, and sliding ones that weigh what is left of the last."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from artemon.model.limit_terms import Terms

MOST_KEYS = 200_000
"""Values that are counted at the same time; the one that was asked for longest ago is forgotten."""


class Verdict(NamedTuple):
    """remaining: how many more may come; reset: seconds until the window ends."""

    allowed: bool
    remaining: int
    reset: float


@dataclass(slots=True)
class _Window:
    number: int = -1
    count: int = 0
    before: int = 0


class Limits:
    """The counts of all limits."""

    def __init__(self, *, most: int = MOST_KEYS) -> None:
        self._most = most
        self._windows: OrderedDict[tuple[str, ...], _Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def hit(self, terms: Terms, values: tuple[str, ...], hits: int, now: float) -> Verdict:
        """Count `hits` requests with these values of keys. What is refused is not counted."""
        window = self._window((terms.name, *values), int(now // terms.seconds))
        passed = now % terms.seconds
        used = float(window.count)
        if terms.sliding:
            used += window.before * (1 - passed / terms.seconds)
        allowed = used + hits <= terms.requests
        if allowed:
            window.count += hits
            used += hits
        return Verdict(allowed, max(0, int(terms.requests - used)), terms.seconds - passed)

    def _window(self, key: tuple[str, ...], number: int) -> _Window:
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= self._most:
                self._windows.popitem(last=False)
            window = self._windows[key] = _Window(number)
        self._windows.move_to_end(key)
        if window.number != number:
            window.before = window.count if window.number == number - 1 else 0
            window.number, window.count = number, 0
        return window
