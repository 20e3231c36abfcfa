"""A copy of what lies under a prefix, and what each item of a watch changes in it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from artemon.store.api import Batch, Deleted, Entry, Position, Snapshot


@dataclass(frozen=True, slots=True)
class Changes:
    """What one step changed: apply `upserts` first, in order, then `deletes` (the entries as they were), so
    that nothing is taken away before its replacement is there. reason: of the snapshot that it came from,
    "saved" for the file of a cold start, "released" for held keys let go, "" for ordinary changes."""

    upserts: tuple[Entry, ...]
    deletes: tuple[Entry, ...]
    position: Position
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.upserts or self.deletes)


class Mirror:
    """The copy. position: everything up to it is in; None before the first item.

    held: keys that the registry has lost and that stay in the copy, because too much vanished at once.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self.position: Position | None = None
        self.held: frozenset[str] = frozenset()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The copy, by key."""
        return MappingProxyType(self._entries)

    def drops_most(self, snapshot: Snapshot) -> bool:
        """Whether `snapshot` lacks more than half of the keys (those held do not count again)."""
        known = self._entries.keys() - self.held
        return 2 * len(known - {entry.key for entry in snapshot.entries}) > len(known)

    def other_history(self, snapshot: Snapshot) -> bool:
        """Whether `snapshot` is of a registry that was replaced or reset since."""
        return self.position is not None and self.position.epoch != snapshot.position.epoch

    def replace(self, snapshot: Snapshot, *, hold: bool = False) -> Changes | None:
        """Take the whole state. With `hold`, what is missing stays and is held; what was held already stays
        held until it comes back or is released. None: the snapshot is older than the copy."""
        if self._older(snapshot.position):
            return None
        fresh = {entry.key: entry for entry in snapshot.entries}
        upserts = [entry for key, entry in fresh.items() if self._entries.get(key) != entry]
        missing = self._entries.keys() - fresh.keys()
        self.held = frozenset(missing if hold else missing & self.held)
        gone = [self._entries[key] for key in sorted(missing - self.held)]
        self._entries = {key: self._entries[key] for key in sorted(self.held)} | fresh
        self.position = snapshot.position
        return Changes(_by_version(upserts), tuple(gone), snapshot.position, snapshot.reason)

    def advance(self, batch: Batch) -> Changes | None:
        """Take what happened next; what is in already is skipped. None: nothing of it is new."""
        own = self.position
        if own is None or own.epoch != batch.position.epoch or own.revision >= batch.position.revision:
            return None
        before, seen = dict[str, Entry | None](), own.revision
        for change in batch.changes:
            if change.version <= seen:
                continue
            before.setdefault(change.key, self._entries.get(change.key))
            self.held -= {change.key}
            if isinstance(change, Deleted):
                self._entries.pop(change.key, None)
            else:
                self._entries[change.key] = change
        self.position = batch.position
        now = self._entries
        upserts = [now[key] for key, old in before.items() if key in now and now[key] != old]
        gone = [old for key, old in before.items() if key not in now and old is not None]
        return Changes(_by_version(upserts), tuple(gone), batch.position)

    def note(self, position: Position) -> None:
        """Nothing changed up to `position`."""
        own = self.position
        if own is not None and own.epoch == position.epoch and own.revision < position.revision:
            self.position = position

    def release(self) -> Changes | None:
        """Let the held keys go after all."""
        if self.position is None or not self.held:
            return None
        gone = tuple(self._entries.pop(key) for key in sorted(self.held))
        self.held = frozenset()
        return Changes((), gone, self.position, "released")

    def _older(self, position: Position) -> bool:
        own = self.position
        return own is not None and own.epoch == position.epoch and position.revision < own.revision


def _by_version(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.version))
