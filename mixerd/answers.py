"""Answers of checks that may be used again, on the terms that they came with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from artemon.adapters import Answer, Row

MOST = 50_000


@dataclass(slots=True)
class _Kept:
    answer: Answer
    until: float
    uses: int


class Answers:
    """Kept for rows whose values are the same. now: seconds; most: answers that are kept."""

    def __init__(self, now: Callable[[], float], *, most: int = MOST) -> None:
        self._now, self._most = now, most
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, version: str, row: Row) -> Answer | None:
        """The answer that still holds. version: of the handler."""
        key = _key(version, row)
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= self._now() or kept.uses < 1:
            del self._kept[key]
            return None
        kept.uses -= 1
        return kept.answer

    def put(self, version: str, row: Row, answer: Answer) -> None:
        """Keep an answer, if it may be used again: for so long, and so often, whichever ends first."""
        if answer.seconds <= 0 and answer.uses <= 1:
            return
        uses = answer.uses - 1 if answer.uses else 1 << 62
        seconds = answer.seconds if answer.seconds > 0 else float("inf")
        if len(self._kept) >= self._most:
            self._kept.popitem(last=False)
        self._kept[_key(version, row)] = _Kept(answer, self._now() + seconds, uses)

    def clear(self) -> None:
        """Forget all: handlers or rules have changed."""
        self._kept.clear()


def _key(version: str, row: Row) -> Hashable:
    return version, row.instance, _frozen(row.values)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return tuple(sorted((name, _frozen(one)) for name, one in value.items()))
    return (type(value).__name__, value)
