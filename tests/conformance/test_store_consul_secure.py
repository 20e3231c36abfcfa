"""Three servers of Consul with TLS and ACLs that deny: what dies, ends or is put back there, with no rights
but the documented ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Open, require_consul
from consul_door import MINIMAL, SecureCluster
from observe import observing, wait_set
from test_store_consul_faults import put_surely

from artemon.errors import LeaseGone, StoreError
from artemon.store.api import Store

pytestmark = pytest.mark.consul
AT = "artemon/faults/"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureCluster]:
    """To be disturbed."""
    require_consul()
    secure = SecureCluster(tmp_path_factory.mktemp("disturbed-consul"))
    yield secure
    secure.cluster.kill()


@pytest.fixture
async def minimal(own: SecureCluster, opened: Open, tmp_path: Path) -> Store:
    """With the documented rights."""
    token = await asyncio.to_thread(own.token, MINIMAL)
    return await opened(own.cluster.url, **own.settings(token, tmp_path.name), bookmark=2)


async def test_the_leader_is_killed_and_token_lease_and_watch_live_on(
    own: SecureCluster, minimal: Store
) -> None:
    lease = await minimal.lease(30)
    await minimal.put(f"{AT}leased", b"", lease=lease.id)
    async with observing(minimal, f"{AT}k") as seen:
        await put_surely(minimal, f"{AT}k0", b"")
        leader = await asyncio.to_thread(own.cluster.leader)
        leader.kill()
        for number in range(1, 20):
            await put_surely(minimal, f"{AT}k{number}", b"")
        await seen.until(lambda one: len(one.state) == 20, 30)
        assert seen.reasons == ["start"]
        leader.start(wait=False)  # here: it would die with another thread
        await asyncio.to_thread(leader.wait_healthy)
        await asyncio.to_thread(own.cluster.wait_voters)
    assert not lease.lost.is_set()
    assert await minimal.get(f"{AT}leased") is not None
    await lease.revoke()


async def test_a_lock_delay_that_others_set_is_waited_for(own: SecureCluster, minimal: Store) -> None:
    """Ours have none; a session of somebody else, which locked our key and ended, leaves its own."""
    server = own.cluster.servers[0]
    session = server.call("PUT", "/v1/session/create", {"LockDelay": "3s", "Behavior": "delete"})["ID"]
    await asyncio.to_thread(server.call, "PUT", f"/v1/kv/{AT}role?acquire={session}", b"theirs")
    server.call("PUT", f"/v1/session/destroy/{session}")
    lease = await minimal.lease(30)
    async with asyncio.timeout(30):
        while True:
            try:
                assert (await minimal.put(f"{AT}role", b"ours", lease=lease.id)).ok
                break
            except StoreError:
                await asyncio.sleep(0.2)
    own.cluster.servers[1].call("PUT", f"/v1/session/destroy/{lease.id}")
    await wait_set(lease.lost, 30)
    with pytest.raises(LeaseGone):
        await minimal.put(f"{AT}role", b"ours", lease=lease.id)
    again = await minimal.lease(30)
    assert (await minimal.put(f"{AT}role", b"again", lease=again.id)).ok, "without any delay"
    await again.revoke()


async def test_a_snapshot_put_back_is_another_history(own: SecureCluster, minimal: Store) -> None:
    server = own.cluster.servers[0]
    await put_surely(minimal, f"{AT}s1", b"old")
    saved = await asyncio.to_thread(server.call, "GET", "/v1/snapshot")
    await put_surely(minimal, f"{AT}s1", b"new")
    await put_surely(minimal, f"{AT}s2", b"new")
    async with observing(minimal, f"{AT}s") as seen:
        await asyncio.to_thread(server.call, "PUT", "/v1/snapshot", saved)
        await seen.until(lambda one: one.state == {f"{AT}s1": b"old"}, 60)
        assert seen.reasons == ["start", "reset"]
        await put_surely(minimal, f"{AT}s3", b"")
        await seen.until(lambda one: f"{AT}s3" in one.state, 30)
