"""Results by the identity of what they were made from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_Entry = tuple[tuple[object, ...], Any]


class Memo:
    """Remembers results of pure functions whose arguments are immutable but costly to compare.

    An entry is found by the identities of its arguments and keeps them alive, so that no other object can
    take over an identity that is in use. Entries that were not asked for during `lifetime` turns are
    forgotten, at the latest after twice as many; so are the least used ones of more than twice `limit`.
    """

    def __init__(self, *, lifetime: int = 8, limit: int = 200_000) -> None:
        self._lifetime = lifetime
        self._limit = limit
        self._turns = 0
        self._young: dict[Hashable, _Entry] = {}
        self._old: dict[Hashable, _Entry] = {}

    def get(self, make: Callable[..., T], *arguments: Any, by: tuple[Hashable, ...] = ()) -> T:
        """`make(*arguments, *by)`: made once for these very `arguments` and for values equal to `by`."""
        key = (make, by, *map(id, arguments))
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.pop(key, None) or (arguments, make(*arguments, *by))
            if len(self._young) >= self._limit:
                self._old, self._young = self._young, {}
            self._young[key] = entry
        result: T = entry[1]
        return result

    def know(self, make: Callable[..., T], *arguments: Any, result: T) -> None:
        """`make(*arguments)` is known already; whoever asks for it gets `result`."""
        self._young[(make, (), *map(id, arguments))] = (arguments, result)

    def turn(self) -> None:
        """One more round of work has begun."""
        self._turns += 1
        if self._turns % self._lifetime == 0:
            self._old, self._young = self._young, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


def portions(many: Sequence[T], size: int = 32) -> Iterator[Sequence[T]]:
    """Neighbours in groups: what is remembered of a group is made anew for the few groups that a change
    touches, and looked up once for all of each other group."""
    for start in range(0, len(many), size):
        yield many[start : start + size]
