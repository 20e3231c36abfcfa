"""The record of a write: who, when, before, after. Kept in the same transaction as the write itself."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artemon.errors import StoreError
from artemon.log import Log
from artemon.store.api import MAX_TXN_OPS, Delete, Store
from galleyd.objects import Object

TRIM_SECONDS = 60.0
PLAIN = 64 * 1024
"""Bytes up to which a record is kept as it is; larger ones are compressed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One object's part in a write. verb: create, update or delete; before and after: absent is None."""

    verb: str
    plural: str
    namespace: str
    name: str
    before: Object | None
    after: Object | None

    def json(self) -> Object:
        """As history keeps it."""
        return {
            "verb": self.verb,
            "plural": self.plural,
            "namespace": self.namespace,
            "name": self.name,
            "before": self.before,
            "after": self.after,
        }


def encode(steps: Sequence[Step], *, who: str, at: str, room: int) -> bytes:
    """A record in at most `room` bytes: plain, else compressed, else with digests in place of the objects."""
    head = {"at": at, "who": who}
    changes = [step.json() for step in steps]
    plain = _dump({**head, "changes": changes})
    if len(plain) <= min(room, PLAIN):
        return plain
    packed = base64.b64encode(gzip.compress(_dump(changes), mtime=0)).decode()
    packed_record = _dump({**head, "packed": packed})
    if len(packed_record) <= room:
        return packed_record
    omitted = [
        {**change, "before": _digest(change["before"]), "after": _digest(change["after"])}
        for change in changes
    ]
    told = _dump({**head, "omitted": True, "changes": omitted})
    if len(told) <= room:
        return told
    packed = base64.b64encode(gzip.compress(_dump(omitted), mtime=0)).decode()
    return _dump({**head, "omitted": True, "packed": packed})


def decode(value: bytes) -> dict[str, Any]:
    """A record as it was given to `encode`. Raises ValueError when it is none."""
    record: dict[str, Any] = json.loads(value)
    if not isinstance(record, dict):
        raise ValueError("a record is no JSON object")
    if "packed" in record:
        record["changes"] = json.loads(_unpacked(record.pop("packed")))
    return record


def _unpacked(packed: object) -> bytes:
    try:
        return gzip.decompress(base64.b64decode(packed))  # type: ignore[arg-type]
    except (TypeError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"what was packed cannot be unpacked: {error}") from error


def _digest(obj: Object | None) -> str | None:
    return None if obj is None else "sha256:" + hashlib.sha256(_dump(obj)).hexdigest()


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


async def trim(store: Store, prefix: str, limit: int, log: Log) -> None:
    """Keep the newest `limit` records, until cancelled."""
    while True:
        try:
            await trim_once(store, prefix, limit)
        except StoreError as error:
            log.warning("history_not_trimmed", reason=error)
        await asyncio.sleep(TRIM_SECONDS)


async def trim_once(store: Store, prefix: str, limit: int) -> int:
    """Delete all but the newest `limit` records; how many. Raises StoreError."""
    entries = (await store.list(prefix)).entries
    surplus = entries[: max(len(entries) - limit, 0)]
    for start in range(0, len(surplus), MAX_TXN_OPS):
        await store.txn((), [Delete(entry.key) for entry in surplus[start : start + MAX_TXN_OPS]])
    return len(surplus)
