"""What the answers of a watch stream deliver, and from where it must be resumed. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from artemon.api.v1 import etcd_pb2 as pb
from artemon.errors import StoreError, Unavailable
from artemon.store.api import Batch, Bookmark, Deleted, Entry, Position, Snapshot
from artemon.store.etcd.client import Compacted, NotAuthenticated


def entry_of(kv: Any) -> Entry:
    """An entry, from etcd's form."""
    lease = f"{kv.lease:x}" if kv.lease else ""
    return Entry(name_of(kv), kv.value, kv.mod_revision, kv.create_revision, lease)


def name_of(kv: Any) -> str:
    """A key as text; one that is not ours may hold any bytes."""
    return str(kv.key.decode("utf-8", "backslashreplace"))


def change_of(event: Any) -> Entry | Deleted:
    """A change, from etcd's form."""
    if event.type == pb.Event.DELETE:
        return Deleted(name_of(event.kv), event.kv.mod_revision)
    return entry_of(event.kv)


class Deliveries:
    """The conversation of one watch, over any number of streams.

    `next` is the revision to resume at: one after the last event delivered. The header's revision counts only
    in a progress notice; while the server catches up it is ahead of the events in the same answer.
    witness: a key and the version that it had at `position` (0: absent), by which the history is known again.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.epoch, self.next = snapshot.position.epoch, snapshot.position.revision + 1
        newest = max(snapshot.entries, key=lambda entry: entry.version, default=None)
        self.witness = (newest.key, newest.version) if newest else None
        self._versions = {entry.key: entry.version for entry in snapshot.entries}
        self._fragments: list[Any] = []

    @property
    def position(self) -> Position:
        """Everything up to it has been delivered."""
        return Position(self.epoch, self.next - 1)

    def restart(self) -> None:
        """A new stream begins: parts of a revision from the old one are void."""
        self._fragments.clear()

    def receive(self, answer: Any) -> Batch | Bookmark | None:
        """What an answer brings. Raises Compacted, NotAuthenticated, Unavailable (try another member), or
        StoreError for what trying again will not mend."""
        if answer.canceled:
            raise _cancelled(answer)
        if answer.created:
            return None
        if not answer.events:
            self.next = max(self.next, answer.header.revision + 1)
            return Bookmark(self.position)
        self._fragments += answer.events
        if answer.fragment:
            return None
        events = [event for event in self._fragments if event.kv.mod_revision >= self.next]
        self._fragments = []
        events.sort(key=lambda event: event.kv.mod_revision)  # they are, unless something between us is ill
        if not events:
            return None
        self.next = events[-1].kv.mod_revision + 1
        changes = tuple(change_of(event) for event in events)
        for change in changes:
            if isinstance(change, Deleted):
                self._versions.pop(change.key, None)
            else:
                self._versions[change.key] = change.version
        last = changes[-1]
        self.witness = (last.key, 0 if isinstance(last, Deleted) else last.version)
        return Batch(changes, self.position)

    def reached(self, revision: int) -> None:
        """At `revision` etcd held what was delivered."""
        self.next = max(self.next, revision + 1)

    def told(self) -> Told:
        """What was delivered up to now, to be compared."""
        return Told(dict(self._versions))


class Told:
    """What was delivered up to a revision: the version of each key."""

    def __init__(self, versions: dict[str, int]) -> None:
        self._left = versions

    def differing(self, kvs: Iterable[Any], *, last: bool) -> str | None:
        """A key that etcd held otherwise than it was delivered; None: none. kvs: the next keys that it held,
        each of which is said once. last: there are no more."""
        for kv in kvs:
            key = name_of(kv)
            if self._left.pop(key, None) != kv.mod_revision:
                return key
        return min(self._left, default=None) if last else None


def _cancelled(answer: Any) -> StoreError:
    reason = answer.cancel_reason or "no reason given"
    if answer.compact_revision:
        return Compacted(f"etcd: the history before revision {answer.compact_revision} is gone")
    if "auth token" in reason:
        return NotAuthenticated(f"etcd: {reason}")
    if "permission denied" in reason:
        return StoreError(f"etcd: the watch was refused: {reason}")
    return Unavailable(f"etcd: the watch was cancelled: {reason}")
