"""What the answers of a waiting query deliver, and from where the next one must wait. No I/O.

Consul tells no events: each answer is the whole state under the prefix. Its index is the newest change there,
or of all keys when there is none; it may fall without anything lost (tombstones are forgotten after 15
minutes) and may stand still though everything changed (a snapshot was restored).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from artemon.errors import StoreError
from artemon.store.api import Batch, Bookmark, Deleted, Entry, Position
from artemon.store.consul.keys import Keys
from artemon.store.consul.tree import Item, entries_of


class WentBack(StoreError):
    """The state is older than what was delivered: the answer is stale, or the store was restored."""


def entry_of(item: Mapping[str, Any]) -> Entry:
    """An entry, from Consul's form."""
    version, created = int(item["ModifyIndex"]), int(item["CreateIndex"])
    return Entry(str(item["Key"]), item["Value"] or b"", version, created, item.get("Session") or "")


@dataclass(frozen=True, slots=True)
class Part:
    """All that lies under `prefix` now; only the key itself when `alone`."""

    prefix: str
    items: tuple[Item, ...]
    alone: bool = False


class Deliveries:
    """The conversation of one watch.

    ask: the index to wait at; 0: do not wait, because what was said last may hide a change. keys: those that
    were delivered and not deleted since.
    """

    def __init__(self, position: Position, items: Iterable[Item], index: int) -> None:
        self.position = position
        self._known = {item.key: item for item in items}
        self.keys = Keys(self._known)
        self.ask = max(index, 1)

    def doubt(self) -> None:
        """An error or a pause: the next query must not wait."""
        self.ask = 0

    def receive(self, index: int, items: Sequence[Item], *, early: bool) -> Batch | Bookmark:
        """What an answer brings. early: it came before the wait was over. Raises WentBack."""
        fresh = {item.key: item for item in items}
        gone = self._known.keys() - fresh.keys()
        changed = [item for key, item in fresh.items() if self._known.get(key) != item]
        changes = self._changes(index, changed, gone)
        stood = index == self.ask and early
        self.ask = 0 if index < self.ask or stood else max(index, 1)
        self._known, self.keys = fresh, Keys(fresh)
        return self._item(index, changes)

    def receive_parts(self, index: int, parts: Sequence[Part]) -> Batch | Bookmark:
        """What an answer brings that has all that moved up to `index`, which is more than `ask`. Raises
        WentBack."""
        fresh = {item.key: item for part in parts for item in part.items}
        known = {key for part in parts for key in self._under(part)}
        gone = known - fresh.keys()
        changed = [item for key, item in fresh.items() if self._known.get(key) != item]
        changes = self._changes(index, changed, gone)
        self.ask = index
        for key in gone:
            del self._known[key]
            self.keys.remove(key)
        for item in changed:
            if item.key not in self._known:
                self.keys.add(item.key)
            self._known[item.key] = item
        return self._item(index, changes)

    def _under(self, part: Part) -> Sequence[str]:
        if part.alone:
            return [part.prefix] if part.prefix in self._known else []
        return self.keys.under(part.prefix)

    def _item(self, index: int, changes: tuple[Entry | Deleted, ...]) -> Batch | Bookmark:
        self.position = Position(self.position.epoch, max(self.position.revision, index))
        return Batch(changes, self.position) if changes else Bookmark(self.position)

    def _changes(self, index: int, changed: Sequence[Item], gone: Set[str]) -> tuple[Entry | Deleted, ...]:
        known, seen = self._known, self.position.revision
        if any(item.version <= seen for item in changed) or (gone and index <= seen):
            raise WentBack(f"consul: index {index} has a state from before {seen}")
        again = [item for item in changed if item.key in known and known[item.key].created != item.created]
        deleted = [Deleted(item.key, max(seen + 1, item.created - 1)) for item in again]
        deleted += [Deleted(key, index) for key in sorted(gone)]
        return tuple(sorted([*deleted, *entries_of(changed)], key=lambda change: change.version))


class History:
    """The newest known index of a Consul, and how often it was reset under us.

    Every write gets a greater index than anything before. One that does not shows that the store was restored
    or replaced, and a new epoch begins.
    """

    def __init__(self) -> None:
        self._resets, self.revision = 0, 0

    @property
    def epoch(self) -> str:
        """Names this history; revisions of two epochs cannot be compared."""
        return f"consul-{self._resets}"

    @property
    def position(self) -> Position:
        """The newest that is known."""
        return Position(self.epoch, self.revision)

    def replaced(self) -> None:
        """The store is known to be another one."""
        self._resets += 1
        self.revision = 0

    def read(self, index: int) -> Position:
        """Something was read at `index`."""
        self.revision = max(self.revision, index)
        return Position(self.epoch, index)

    def wrote(self, index: int, since: Position) -> Position:
        """Something was written at `index`, by a request sent when `since` was the newest that was known."""
        if since.epoch == self.epoch and index <= since.revision:
            self.replaced()
        return self.read(index)
