"""The registry as a daemon opens it: only one whose layout this release can read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from artemon.backoff import Backoff
from artemon.daemon.health import Health
from artemon.errors import StoreError
from artemon.log import Log
from artemon.store.api import Store
from artemon.store.layout import Layout
from artemon.store.open import open_store
from artemon.store.schema import WrongSchema, admit, guard, stamp
from artemon.store.whole import Whole

log = Log("artemon.daemon.registry")


async def open_registry(url: str, mesh: str, silent: Callable[[str], None] = lambda _: None) -> Store:
    """The registry at `url`. Raises ArtemonError for one that must not be used; one that cannot be reached is
    opened all the same, and `silent` told why. What it shows of configuration is whole:
    `artemon.store.whole`."""
    store = await open_store(url)
    try:
        await admit(store, Layout(mesh).root, silent)
    except BaseException:
        await store.close()
        raise
    return Whole(store, Layout(mesh))


def silence(health: Health) -> Callable[[str], None]:
    """Has /readyz say why the registry is silent: the daemon works with what it knows."""

    def told(reason: str) -> None:
        health.degrade("registry is silent", reason)

    return told


async def keep_schema(store: Store, root: str, silent: Callable[[str], None] = lambda _: None) -> None:
    """Stamp the registry with this release's layout as soon as it can be written, also where a right for that
    is granted later, then watch that nobody stamps a newer one. silent: see `guard`. Raises WrongSchema."""
    backoff = Backoff(0.2, 5.0)
    while True:
        try:
            await stamp(store, root)
            break
        except WrongSchema:
            raise
        except StoreError as error:
            log.warning("schema_not_written", error=str(error))
            silent(str(error))
        await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter
    await guard(store, root, silent)
