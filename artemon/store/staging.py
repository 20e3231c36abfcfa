"""Large writes of configuration, larger than any transaction: docs/decisions/0020-staged-writes.md.

What a write changes lies beside the objects, in parts under `config/~staged/<write>/`. One small transaction
then puts the switch, and from that revision on the staged values are in force for every reader, though the
objects themselves still hold the old ones. They are brought up to date afterwards, by whoever is there.
No I/O.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from artemon.errors import StoreError, TooLarge
from artemon.log import Log
from artemon.store.api import MAX_VALUE, Batch, Bookmark, Deleted, Entry, Snapshot
from artemon.store.layout import Layout

log = Log("artemon.store.staging")

MAX_PARTS = 32
PART_BYTES = MAX_VALUE - 1024
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of a staged write, unpacked; whoever writes more than that there does not write configuration."""
STAGING, SWITCHED = "staging", "switched"

Values = Mapping[str, bytes | None]
"""By key; None: the key is deleted."""


@dataclass(frozen=True, slots=True)
class Switch:
    """state: `staging` (nothing of it counts, and nobody else writes) or `switched` (all of it counts).
    digest: SHA-256 over the parts."""

    write: str
    state: str
    parts: int = 0
    digest: str = ""

    def encode(self) -> bytes:
        """The value of `Layout.switch`."""
        fields = {"write": self.write, "state": self.state, "parts": self.parts, "sha256": self.digest}
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def of(cls, entry: Entry) -> Switch:
        """Raises StoreError for what is no switch."""
        try:
            found = json.loads(entry.value)
            switch = cls(str(found["write"]), str(found["state"]), int(found["parts"]), str(found["sha256"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{entry.key}: is no switch of a staged write; delete the key") from error
        if switch.state not in {STAGING, SWITCHED}:
            raise StoreError(f"{entry.key}: has the unknown state {switch.state!r}; delete the key")
        return switch


def pack(values: Values) -> list[bytes]:
    """The parts that hold `values`. Raises TooLarge."""
    items = [
        [key, None if value is None else base64.b64encode(value).decode()] for key, value in values.items()
    ]
    whole = zlib.compress(json.dumps(items, separators=(",", ":")).encode())
    parts = [whole[start : start + PART_BYTES] for start in range(0, len(whole), PART_BYTES)]
    if len(parts) > MAX_PARTS:
        raise TooLarge(
            f"{len(whole)} bytes, packed: at most {MAX_PARTS * PART_BYTES} can be staged; split it"
        )
    return parts


def digest_of(parts: Iterable[bytes]) -> str:
    """Names the content of a staged write."""
    return hashlib.sha256(b"".join(parts)).hexdigest()


def unpack(switch: Switch, parts: Sequence[bytes | None], layout: Layout) -> Values:
    """What was packed. Raises StoreError for parts that are missing or not what was staged."""
    found = [part for part in parts if part is not None]
    if len(found) != switch.parts or digest_of(found) != switch.digest:
        raise StoreError(
            f"{layout.switch}: what was staged for it is damaged or gone; delete the key and apply again"
        )
    reader = zlib.decompressobj()
    try:
        whole = reader.decompress(b"".join(found), MOST_BYTES)
        items = json.loads(whole)
        values = {str(key): None if text is None else base64.b64decode(text) for key, text in items}
    except (ValueError, TypeError, zlib.error) as error:
        raise StoreError(f"{layout.switch}: what was staged for it cannot be read: {error}") from error
    return {key: value for key, value in values.items() if _is_object(key, layout)}


def staged_by(switch: Switch, entries: Mapping[str, Entry], layout: Layout) -> Values:
    """What `switch` puts in force, of the entries under `Layout.staged`. Raises StoreError."""
    keys = [layout.part(switch.write, number) for number in range(min(switch.parts, MAX_PARTS))]
    found = [entries[key].value if key in entries else None for key in keys]
    return unpack(switch, found, layout)


def _is_object(key: str, layout: Layout) -> bool:
    return key.startswith(layout.configs) and not key.startswith(layout.staged)


class Overlay:
    """What is in force under a prefix that holds all of `Layout.configs`: the items of its watch, as they
    would be had every large write been one transaction."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._raw: dict[str, Entry] = {}
        self._top: dict[str, Entry | None] = {}
        self._revision = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything in force, sorted by key."""
        keys = sorted(self._raw.keys() | self._top.keys())
        found = (_in_force(key, self._raw.get(key), self._top) for key in keys if not self._hidden(key))
        return tuple(entry for entry in found if entry is not None)

    def replace(self, snapshot: Snapshot) -> Snapshot:
        """The whole state."""
        self._raw = {entry.key: entry for entry in snapshot.entries}
        self._top, self._revision = self._staged(), snapshot.position.revision
        return replace(snapshot, entries=self.entries)

    def advance(self, batch: Batch) -> Batch | Bookmark:
        """What a batch means to those who see no staging."""
        last = {change.key: change for change in batch.changes}
        hidden = any(map(self._hidden, last))
        old, since, before = self._top, self._revision, {key: self._raw.get(key) for key in last}
        self._take(batch)
        if not hidden and not old:
            return batch
        self._top = self._staged() if hidden else old
        changes = []
        for key in sorted(last.keys() | old.keys() | self._top.keys()):
            below = self._raw.get(key)
            then = _in_force(key, before.get(key, below), old)
            now = _in_force(key, below, self._top)
            if then != now and not self._hidden(key):
                changes.append(_change(key, now, since, batch.position.revision))
        if not changes:
            return Bookmark(batch.position)
        return Batch(tuple(sorted(changes, key=lambda change: change.version)), batch.position)

    def note(self, revision: int) -> None:
        """Nothing changed up to `revision`."""
        self._revision = max(self._revision, revision)

    def _take(self, batch: Batch) -> None:
        self._revision = batch.position.revision
        for change in batch.changes:
            if isinstance(change, Deleted):
                self._raw.pop(change.key, None)
            else:
                self._raw[change.key] = change

    def _hidden(self, key: str) -> bool:
        return key.startswith(self._layout.staged)

    def _staged(self) -> dict[str, Entry | None]:
        """What the switch puts in force, as entries of its version."""
        entry = self._raw.get(self._layout.switch)
        if entry is None:
            return {}
        try:
            switch = Switch.of(entry)
            values = staged_by(switch, self._raw, self._layout) if switch.state == SWITCHED else {}
        except StoreError as error:
            log.error("staged_write_unusable", key=entry.key, reason=error)
            return {}
        return {key: self._entry(key, value, entry.version) for key, value in values.items()}

    def _entry(self, key: str, value: bytes | None, version: int) -> Entry | None:
        if value is None:
            return None
        below = self._raw.get(key)
        return Entry(key, value, version, below.created if below else version)


def _in_force(key: str, below: Entry | None, top: Mapping[str, Entry | None]) -> Entry | None:
    """A key's entry; where the object holds by now what was staged, the object's own, with its version."""
    if key not in top:
        return below
    above = top[key]
    if above is not None and below is not None and below.value == above.value:
        return below
    return above


def _change(key: str, now: Entry | None, since: int, newest: int) -> Entry | Deleted:
    """As a change of a batch that reaches from `since` to `newest`."""
    if now is None:
        return Deleted(key, newest)
    return now if since < now.version <= newest else replace(now, version=newest)
