"""What a client has asked for, of one type (xDS protocol, "How the client specifies what resources to
return")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Subscription:
    """Names asked for, and whether everything is. silent: everything, because a first request named nothing
    (the legacy wildcard, which ends in state of the world when names are given)."""

    names: frozenset[str] = frozenset()
    wildcard: bool = False
    silent: bool = False

    def covers(self, name: str) -> bool:
        """Whether the client wants to know about `name`."""
        return self.wildcard or name in self.names

    def changed(
        self, subscribe: Iterable[str], unsubscribe: Iterable[str], *, first: bool, may_be_silent: bool
    ) -> Subscription:
        """After an incremental request. may_be_silent: the type knows the legacy wildcard."""
        added, removed = frozenset(subscribe), frozenset(unsubscribe)
        if first and not added and not removed and may_be_silent:
            return Subscription(wildcard=True, silent=True)
        return Subscription(
            names=((self.names | added) - removed) - {EVERYTHING},
            wildcard=(self.wildcard or EVERYTHING in added) and EVERYTHING not in removed,
        )

    def replaced(self, names: Iterable[str], *, first: bool, may_be_silent: bool) -> Subscription:
        """After a state-of-the-world request, which names everything it wants."""
        wanted = frozenset(names)
        if not wanted and may_be_silent and (first or self.silent):
            return Subscription(wildcard=True, silent=True)
        return Subscription(names=wanted - {EVERYTHING}, wildcard=EVERYTHING in wanted)

    def with_names(self, names: frozenset[str]) -> Subscription:
        """The same with an equal set of names that is shared with others."""
        return replace(self, names=names)


class SharedNames:
    """One set for all clients that ask for the same names, as long as one of them does: a thousand names cost
    a hundred kilobytes."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()

    def __call__(self, names: frozenset[str]) -> frozenset[str]:
        """A set that equals `names`."""
        found = self._known.get(hash(names))
        if found == names:
            return found
        self._known[hash(names)] = names
        return names
