"""What lies in a registry, and what is wrong with it. Writes nothing but one key that goes with its lease."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from artemon.errors import StoreError
from artemon.store import clock, signatures
from artemon.store.api import Entry, Put, Store
from artemon.store.layout import Layout
from artemon.store.schema import VERSION, Schema, key_of

PARTS = {
    "config": 4,
    "secrets": 3,
    "namespaces": 2,
    "mesh": 1,
    "schema": 1,
    "history": 2,
    "workloads": 4,
    "trust": 0,
    "status": 3,
    "election": 2,
}
"""First part of a key below the root -> how many parts it has; 0: any number."""
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ok: nothing need be done."""

    name: str
    ok: bool
    detail: str


async def inspect(store: Store, url: str, mesh: str) -> list[Finding]:
    """Everything, as far as it gets: what cannot be reached ends the list."""
    layout, found = Layout(mesh), list[Finding]()
    where = f"{urlsplit(url).scheme}://{urlsplit(url).netloc or urlsplit(url).path}"
    started = clock.now()
    try:
        snapshot = await store.list(layout.root)
    except StoreError as error:
        return [Finding("read", False, str(error))]
    took = 1000 * (clock.now() - started)
    found.append(Finding("read", True, f"{where}, revision {snapshot.position.revision}, {took:.0f} ms"))
    found.append(await _written(store, layout))
    found.append(_schema(snapshot.entries, layout))
    found.append(_kinds(snapshot.entries, layout))
    found.append(_foreign(snapshot.entries, layout))
    found.append(_unreadable(snapshot.entries, layout))
    found.append(_unsigned(snapshot.entries, layout))
    return found


async def _written(store: Store, layout: Layout) -> Finding:
    """A key under a lease is written, and gone with it."""
    key, started = layout.election(f"check-{secrets.token_hex(4)}"), clock.now()
    try:
        lease = await store.lease(10.0)
        try:
            await store.txn((), (Put(key, b"", lease.id),))
        finally:
            await lease.revoke()
        left = await store.get(key)
    except StoreError as error:
        return Finding("write", False, str(error))
    if left is not None:
        return Finding("write", False, f"{key} outlived its lease")
    return Finding("write", True, f"lease and transaction, {1000 * (clock.now() - started):.0f} ms")


def _schema(entries: Sequence[Entry], layout: Layout) -> Finding:
    key = key_of(layout.root)
    try:
        found = Schema.of(next((entry for entry in entries if entry.key == key), None))
        found.check(key)
    except StoreError as error:
        return Finding("schema", False, str(error))
    return Finding("schema", True, f"{found.version}; this release writes {VERSION}")


def _kinds(entries: Sequence[Entry], layout: Layout) -> Finding:
    counts = Counter(layout.relative(entry.key).partition("/")[0] for entry in entries)
    return Finding("keys", True, ", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "none yet")


def _foreign(entries: Sequence[Entry], layout: Layout) -> Finding:
    """Keys that no release wrote; they are left alone."""
    found = [entry.key for entry in entries if not _known(layout.relative(entry.key).split("/"))]
    return Finding("foreign keys", not found, _some(found, "none", "left alone, delete them or move them"))


def _known(parts: list[str]) -> bool:
    return parts[0] in PARTS and PARTS[parts[0]] in {0, len(parts)}


def _unreadable(entries: Sequence[Entry], layout: Layout) -> Finding:
    """Values that are no JSON objects, where only those are written."""
    found = []
    for entry in entries:
        part = layout.relative(entry.key).split("/")[0]
        if part not in {"config", "mesh", "secrets", "workloads"} or entry.key.startswith(layout.staged):
            continue
        try:
            whole = isinstance(json.loads(entry.value), dict)
        except ValueError:
            whole = False
        if not whole:
            found.append(entry.key)
    return Finding(
        "values", not found, _some(found, "all readable", "not readable, the last good one stands")
    )


def _unsigned(entries: Sequence[Entry], layout: Layout) -> Finding:
    """Values under trust/ that citadeld did not sign."""
    found = signatures.wrong(entries, layout)
    return Finding("signatures", not found, _some(found, "all fit", "nobody takes them; start a citadeld"))


def _some(keys: Sequence[str], none: str, advice: str) -> str:
    if not keys:
        return none
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{', '.join(keys[:SHOWN])}{more}: {advice}"
