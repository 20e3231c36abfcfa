"""What the answers of a waiting query deliver, and from where the next one must wait. No I/O.

Consul tells no events: each answer is the whole state under the prefix. Its index is the newest change there,
or of all keys when there is none; it may fall without anything lost (tombstones are forgotten after 15
minutes) and may stand still though everything changed (a snapshot was restored).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from artemon.errors import StoreError
from artemon.store.api import Batch, Bookmark, Deleted, Entry, Position
from artemon.store.consul.tree import Item, entries_of


class WentBack(StoreError):
    """The state is older than what was delivered: the answer is stale, or the store was restored."""


def entry_of(item: Mapping[str, Any]) -> Entry:
    """An entry, from Consul's form."""
    version, created = int(item["ModifyIndex"]), int(item["CreateIndex"])
    return Entry(str(item["Key"]), item["Value"] or b"", version, created, item.get("Session") or "")


class Deliveries:
    """The conversation of one watch.

    ask: the index to wait at; 0: do not wait, because what was said last may hide a change.
    """

    def __init__(self, position: Position, items: Iterable[Item], index: int) -> None:
        self.position = position
        self._known = {item.key: item for item in items}
        self.ask = max(index, 1)

    def doubt(self) -> None:
        """An error or a pause: the next query must not wait."""
        self.ask = 0

    def receive(self, index: int, items: Sequence[Item], *, early: bool) -> Batch | Bookmark:
        """What an answer brings. early: it came before the wait was over. Raises WentBack."""
        fresh = {item.key: item for item in items}
        changes = self._changes(index, fresh)
        stood = index == self.ask and early
        self.ask = 0 if index < self.ask or stood else max(index, 1)
        self._known = fresh
        self.position = Position(self.position.epoch, max(self.position.revision, index))
        return Batch(changes, self.position) if changes else Bookmark(self.position)

    def _changes(self, index: int, fresh: Mapping[str, Item]) -> tuple[Entry | Deleted, ...]:
        known, seen = self._known, self.position.revision
        changed = [item for key, item in fresh.items() if known.get(key) != item]
        gone = known.keys() - fresh.keys()
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
