"""Leases: what is bound to one vanishes with it, neither early nor much later."""

from __future__ import annotations

import asyncio
import sqlite3
import time

import pytest
from conftest import CONSUL, CONSUL_SECURE, ETCD, SQLITE
from observe import observing, wait_set

from artemon.errors import StoreError
from artemon.store.api import Store


async def test_a_revoked_lease_takes_its_keys_along(store: Store, other: Store, prefix: str) -> None:
    lease = await store.lease(30)
    for name in ("a", "b"):
        await store.put(prefix + name, b"", lease=lease.id)
    await store.put(prefix + "b", b"unbound")
    assert (await other.get(prefix + "a")).lease == lease.id
    async with observing(other, prefix) as seen:
        await lease.revoke()
        await seen.until(lambda one: one.state == {prefix + "b": b"unbound"})
    assert lease.lost.is_set()


async def test_a_lease_is_renewed_while_its_holder_lives(store: Store, other: Store, prefix: str) -> None:
    lease = await store.lease(2)
    await store.put(prefix + "a", b"", lease=lease.id)
    await asyncio.sleep(4.5)
    assert not lease.lost.is_set()
    assert await other.get(prefix + "a") is not None


@pytest.mark.parametrize("backend", [SQLITE, ETCD, CONSUL, CONSUL_SECURE], indirect=True)
async def test_keys_outlive_their_holder_by_the_ttl(store: Store, url: str, opened, prefix: str) -> None:
    holder = await opened(url)
    lease = await holder.lease(3)
    sent = time.monotonic()
    await holder.put(prefix + "a", b"", lease=lease.id)
    await holder.close()
    async with observing(store, prefix) as seen:
        await seen.until(lambda one: not one.state, 9)
        assert time.monotonic() - sent >= 3


async def test_a_lease_that_another_revoked_is_lost(
    store: Store, other: Store, prefix: str, backend: str
) -> None:
    """The keys of a lease that the server forgot are gone, and its holder learns it at the next renewal."""
    lease = await store.lease(2)
    await store.put(prefix + "a", b"", lease=lease.id)
    await other.revoke((await other.get(prefix + "a")).lease)
    await wait_set(lease.lost, 3)
    assert await store.get(prefix + "a") is None
    await other.revoke(lease.id)  # once more: nothing happens


@pytest.mark.parametrize("backend", [SQLITE], indirect=True)
async def test_a_lease_is_lost_by_the_local_clock(url: str, opened) -> None:
    """Nobody can write: the holder must not believe in its lease for longer than the ttl."""
    store = await opened(url, timeout=1)
    lease = await store.lease(2)
    blocker = sqlite3.connect(url.removeprefix("sqlite://"), isolation_level=None)
    started = time.monotonic()
    blocker.execute("BEGIN IMMEDIATE")
    await wait_set(lease.lost, 3)
    assert time.monotonic() - started <= 2.5
    blocker.execute("ROLLBACK")
    blocker.close()


async def test_a_lease_too_short_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="at least 2 s"):
        await store.lease(1)
