"""Which layout of keys and values lies in the registry, so that no release reads what it cannot understand.

`artemon/<mesh>/schema` holds `{"version", "reads"}`: the layout, and the oldest layout whose releases can
still read it. Releases before the key existed wrote layout 0. galleyd alone writes it, upwards only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from artemon.errors import StoreError
from artemon.log import Log
from artemon.store.api import ABSENT, Batch, Deleted, Entry, Snapshot, Stale, Store, WatchItem

log = Log("artemon.store.schema")

VERSION = 1
"""What this release writes."""
READS = 0
"""The oldest layout whose releases can read what this one writes."""


class WrongSchema(StoreError):
    """The registry is not for this release: it holds another program's data, or what `NewerSchema` says."""


class NewerSchema(WrongSchema):
    """The registry holds a layout that this release cannot read."""


@dataclass(frozen=True, slots=True)
class Schema:
    """version: of the layout. reads: the oldest layout whose releases can read it."""

    version: int = 0
    reads: int = 0

    @classmethod
    def of(cls, entry: Entry | None) -> Schema:
        """What the key says; layout 0 where there is none. Raises WrongSchema for what is no schema."""
        if entry is None:
            return cls()
        try:
            found = json.loads(entry.value)
            return cls(int(found["version"]), int(found["reads"]))
        except (ValueError, KeyError, TypeError) as error:
            raise WrongSchema(f"{entry.key}: is not a schema; is this another program's registry?") from error

    def check(self, key: str) -> None:
        """Raises NewerSchema when this release cannot read it."""
        if self.reads > VERSION:
            raise NewerSchema(
                f"{key}: the registry holds schema {self.version}, which needs a release of schema"
                f" {self.reads} or newer; this one has {VERSION}: upgrade it; nothing was changed"
            )


async def admit(store: Store, root: str, silent: Callable[[str], None] = lambda _: None) -> None:
    """Raises NewerSchema when this release must not use the registry; one that cannot be reached is admitted,
    and `silent` told why: `guard` will see it."""
    key = key_of(root)
    try:
        entry = await store.get(key)
    except StoreError as error:
        log.warning("schema_not_read", key=key, error=str(error))
        silent(str(error))
        return
    Schema.of(entry).check(key)


async def guard(store: Store, root: str, silent: Callable[[str], None] = lambda _: None) -> None:
    """Watch for ever. silent: is told why the registry says nothing any more, and "" when it does. Raises
    NewerSchema when a newer release took the registry over."""
    key = key_of(root)
    items = cast("AsyncGenerator[WatchItem]", store.watch(key))
    async with aclosing(items):
        async for item in items:
            silent((item.reason or "it does not answer") if isinstance(item, Stale) else "")
            found = item.entries if isinstance(item, Snapshot) else ()
            for change in item.changes if isinstance(item, Batch) else found:
                if change.key == key and not isinstance(change, Deleted):
                    Schema.of(change).check(key)


async def stamp(store: Store, root: str) -> None:
    """Write what this release writes, over an older schema only. Raises NewerSchema, StoreError."""
    key = key_of(root)
    entry = await store.get(key)
    found = Schema.of(entry)
    found.check(key)
    if found.version >= VERSION and entry is not None:
        return
    value = json.dumps({"version": VERSION, "reads": READS}).encode()
    if (await store.put(key, value, if_version=ABSENT if entry is None else entry.version)).ok:
        log.info("schema_written", key=key, before=found.version, now=VERSION)


def key_of(root: str) -> str:
    """Where the schema lies below `root`."""
    return f"{root}schema"
