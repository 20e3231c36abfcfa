"""The registry as a daemon opens it: only one whose layout this release can read."""

from __future__ import annotations

import asyncio
import random

from artemon.backoff import Backoff
from artemon.errors import Unavailable, Unknown
from artemon.log import Log
from artemon.store.api import Store
from artemon.store.layout import Layout
from artemon.store.open import open_store
from artemon.store.schema import admit, guard, stamp

log = Log("artemon.daemon.registry")


async def open_registry(url: str, mesh: str) -> Store:
    """The registry at `url`. Raises ArtemonError for one that must not be used; one that cannot be reached is
    opened all the same."""
    store = await open_store(url)
    try:
        await admit(store, Layout(mesh).root)
    except BaseException:
        await store.close()
        raise
    return store


async def keep_schema(store: Store, root: str) -> None:
    """Stamp the registry with this release's layout as soon as it can be written, then watch that nobody
    stamps a newer one. Raises NewerSchema."""
    backoff = Backoff(0.2, 5.0)
    while True:
        try:
            await stamp(store, root)
            break
        except (Unavailable, Unknown) as error:
            log.warning("schema_not_written", error=str(error))
        await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter
    await guard(store, root)
