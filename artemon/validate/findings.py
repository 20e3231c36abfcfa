"""How rules report: a rule yields problems; a check of one value gives a reason, or None when it is fine."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from artemon.errors import Problem

Problems = Iterator[Problem]
Reason = str | None


def error(path: str, message: str) -> Problem:
    """Something that makes the object invalid."""
    return Problem(path, message)


def warning(path: str, message: str) -> Problem:
    """Something that is accepted, but hardly what was meant."""
    return Problem(path, message, "warning")


def wrong(path: str, *reasons: Reason) -> Problems:
    """An error at `path` for each check that gave a reason."""
    yield from (error(path, reason) for reason in reasons if reason)


def repeats(values: Iterable[Hashable]) -> Iterator[int]:
    """The index of each value that was there before."""
    seen: set[Hashable] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index
        seen.add(value)
