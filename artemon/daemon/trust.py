"""Daemons that read the registry learn from it whom to trust, as soon as it changes."""

from __future__ import annotations

from artemon.daemon.identity import IdentityKeeper
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.pki.bundle import Bundle
from artemon.store.api import Batch, Entry, Snapshot, Store


async def follow_bundle(store: Store, key: str, keeper: IdentityKeeper, log: Log) -> None:
    """Have `keeper` trust what the bundle under `key` says, until cancelled."""
    async for item in store.watch(key):
        if not isinstance(item, Snapshot | Batch):
            continue
        entries = item.entries if isinstance(item, Snapshot) else item.changes
        for entry in entries:
            if isinstance(entry, Entry) and entry.key == key:
                try:
                    await keeper.adopt_roots(Bundle.decode(entry.value).roots_pem)
                except (ArtemonError, OSError) as error:
                    log.error("trust_not_followed", reason=error)
