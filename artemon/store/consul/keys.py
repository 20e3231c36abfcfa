"""Sorted keys, and how a set of them divides by the next letter. No I/O."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

LAST = chr(0x10FFFF)
"""Greater than any letter of a key."""


class Keys:
    """A sorted set."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = sorted(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str) -> None:
        """Take in a key that is not there."""
        insort(self._keys, key)

    def remove(self, key: str) -> None:
        """Take out a key that is there."""
        del self._keys[bisect_left(self._keys, key)]

    def under(self, prefix: str) -> Sequence[str]:
        """Those that start with `prefix`."""
        return self._keys[slice(*self._range(prefix))]

    def count(self, prefix: str) -> int:
        """How many start with `prefix`."""
        low, high = self._range(prefix)
        return high - low

    def _range(self, prefix: str) -> tuple[int, int]:
        return bisect_left(self._keys, prefix), bisect_left(self._keys, prefix + LAST)


def divide(one: Sequence[str], other: Sequence[str]) -> tuple[set[str], str]:
    """The least number of longer prefixes that cover all keys of two sorted sequences, by the letter in which
    they first differ; and the key that is the beginning of all of them, "" when none is.

    A name that ends with "/" stands for all that lies below it."""
    ends = [edge for keys in (one, other) if keys for edge in (keys[0], keys[-1])]
    common = _shared(ends)
    if ends and all(edge == common for edge in ends):
        return ({common}, "") if common.endswith("/") else (set(), common)
    found: set[str] = set()
    whole = ""
    for keys in (one, other):
        place = 0
        while place < len(keys):
            if keys[place] == common:
                whole, place = common, place + 1
                continue
            found.add(keys[place][: len(common) + 1])
            place = bisect_left(keys, keys[place][: len(common) + 1] + LAST, place)
    return ({common}, "") if whole.endswith("/") else (found, whole)


def _shared(texts: Sequence[str]) -> str:
    """The beginning that all have."""
    if not texts:
        return ""
    low, high = min(texts), max(texts)
    place = next((n for n, letter in enumerate(low) if not high.startswith(letter, n)), len(low))
    return low[:place]
