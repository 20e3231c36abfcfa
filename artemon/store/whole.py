"""The registry for readers of configuration: large writes are seen whole or not at all, as small ones are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from artemon.errors import StoreError
from artemon.store.api import (
    Batch,
    Bookmark,
    Check,
    Entry,
    Op,
    Snapshot,
    Store,
    TxnResult,
    WatchItem,
)
from artemon.store.base import Forwarding
from artemon.store.layout import Layout
from artemon.store.staging import SWITCHED, Overlay, Switch


class Whole(Forwarding):
    """A `Store` (see there) that shows under `config/` what is in force: `artemon.store.staging`. What lies
    under `Layout.staged` is not shown. plain: the registry as it is."""

    def __init__(self, store: Store, layout: Layout) -> None:
        super().__init__(store)
        self._layout = layout

    @classmethod
    def over(cls, store: Store, layout: Layout) -> Whole:
        """`store`, if it is one already."""
        return store if isinstance(store, cls) else cls(store, layout)

    def _concerns(self, prefix: str) -> bool:
        configs = self._layout.configs
        return prefix.startswith(configs) or configs.startswith(prefix)

    def _base(self, prefix: str) -> str:
        """What must be read at one position to know what is in force under `prefix`."""
        configs = self._layout.configs
        return configs if prefix.startswith(configs) else prefix

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`. The switch is read first: until it was, what the object holds was in force."""
        if not key.startswith(self._layout.configs) or not await self._switched():
            return await self.plain.get(key)
        found = await self.list(key)
        return next((entry for entry in found.entries if entry.key == key), None)

    async def _switched(self) -> bool:
        entry = await self.plain.get(self._layout.switch)
        try:
            return entry is not None and Switch.of(entry).state == SWITCHED
        except StoreError:
            return False

    async def list(self, prefix: str) -> Snapshot:
        """See `Store.list`."""
        found = await self.plain.list(self._base(prefix) if self._concerns(prefix) else prefix)
        if not self._concerns(prefix):
            return found
        return _under(prefix, Overlay(self._layout).replace(found))

    async def watch(self, prefix: str) -> AsyncIterator[WatchItem]:
        """See `Store.watch`."""
        concerned = self._concerns(prefix)
        overlay = Overlay(self._layout)
        base = self._base(prefix) if concerned else prefix
        async with aclosing(cast("AsyncGenerator[WatchItem]", self.plain.watch(base))) as items:
            async for item in items:
                yield _shown(prefix, item, overlay) if concerned else item

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        """See `Store.txn`."""
        return await self.plain.txn(checks, ops)


def _shown(prefix: str, item: WatchItem, overlay: Overlay) -> WatchItem:
    match item:
        case Snapshot():
            return _under(prefix, overlay.replace(item))
        case Batch():
            return _after(prefix, overlay.advance(item))
        case Bookmark():
            overlay.note(item.position.revision)
    return item


def _under(prefix: str, found: Snapshot) -> Snapshot:
    return replace(found, entries=tuple(one for one in found.entries if one.key.startswith(prefix)))


def _after(prefix: str, item: Batch | Bookmark) -> Batch | Bookmark:
    if isinstance(item, Bookmark):
        return item
    changes = tuple(change for change in item.changes if change.key.startswith(prefix))
    return Batch(changes, item.position) if changes else Bookmark(item.position)
