"""The registry in Consul when servers die, freeze, forget, are restored, or answer what proves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from conftest import Open, require_consul
from consul_servers import Cluster, Consul
from observe import observing, wait_set
from servers import free_ports

from artemon.errors import LeaseGone, Unavailable, Unknown
from artemon.store.api import Check, Put, Stale, Store

pytestmark = pytest.mark.consul


async def put_surely(store: Store, key: str, value: bytes, seconds: float = 40) -> None:
    """Write until it is acknowledged."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await store.put(key, value)
                return
            except (Unavailable, Unknown):
                await asyncio.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    require_consul()
    servers = Cluster(tmp_path / "cluster").start()
    yield servers
    servers.kill()


async def test_nothing_is_lost_when_leader_and_servers_are_killed(cluster: Cluster, opened: Open) -> None:
    """The leader, and then whoever the client speaks to."""
    store, writer = await opened(cluster.url, bookmark=2), await opened(cluster.url)
    lease = await store.lease(30)
    await store.put("leased", b"", lease=lease.id)
    async with observing(store, "k") as seen:
        for number in range(60):
            if number == 10:
                victim = await asyncio.to_thread(cluster.leader)
                victim.kill()
            if number == 30:
                victim.start(wait=False)
                await asyncio.to_thread(cluster.wait_voters)
                victim = next(one for one in cluster.servers if one.target in writer._client._agents.base)
                victim.kill()
            if number == 50:
                victim.start(wait=False)
            await put_surely(writer, f"k{number}", b"")
        await seen.until(lambda one: len(one.state) == 60, 30)
        assert seen.reasons == ["start"]
    assert not lease.lost.is_set()
    assert await store.get("leased") is not None


async def test_without_quorum_everything_freezes_and_says_so(cluster: Cluster, opened: Open) -> None:
    store = await opened(cluster.url, timeout=2, bookmark=1, stale_after=3)
    await store.put("k1", b"")
    async with observing(store, "k") as seen:
        leader = await asyncio.to_thread(cluster.leader)
        frozen = [one for one in cluster.servers if one is not leader]
        for server in frozen:
            server.signal(signal.SIGSTOP)
        await seen.until(lambda one: isinstance(one.items[-1], Stale), 40)
        with pytest.raises((Unavailable, Unknown)):
            await store.put("k2", b"")
        assert "k1" in seen.state
        for server in frozen:
            server.signal(signal.SIGCONT)
        await put_surely(store, "k3", b"")
        await seen.until(lambda one: {"k1", "k3"} <= set(one.state), 20)
        assert seen.reasons == ["start"]


async def test_a_frozen_server_is_waited_for(consul: Consul, opened: Open) -> None:
    store = await opened(consul.url, timeout=1, bookmark=0.5, stale_after=1.5)
    await store.put("k1", b"")
    async with observing(store, "k") as seen:
        consul.signal(signal.SIGSTOP)
        with pytest.raises(Unknown):
            await store.put("k2", b"")
        with pytest.raises(Unavailable):
            await store.get("k1")
        await seen.until(lambda one: isinstance(one.items[-1], Stale), 15)
        assert "k1" in seen.state
        consul.signal(signal.SIGCONT)
        await put_surely(store, "k3", b"")
        await seen.until(lambda one: "k3" in one.state, 20)
        assert seen.reasons == ["start"]


async def test_a_lease_is_lost_by_the_local_clock_before_the_server_acts(
    consul: Consul, opened: Open
) -> None:
    store = await opened(consul.url)
    lease = await store.lease(3)
    await store.put("k", b"", lease=lease.id)
    consul.signal(signal.SIGSTOP)
    await wait_set(lease.lost, 5)
    consul.signal(signal.SIGCONT)
    async with observing(store, "k") as seen:
        await seen.until(lambda one: not one.state, 20)


async def test_a_session_that_an_operator_ends_is_a_lease_that_is_lost(consul: Consul, opened: Open) -> None:
    store = await opened(consul.url)
    lease = await store.lease(3)
    await store.put("k", b"", lease=lease.id)
    async with observing(store, "k") as seen:
        consul.call("PUT", f"/v1/session/destroy/{lease.id}")
        await seen.until(lambda one: not one.state)
    await wait_set(lease.lost, 4)
    with pytest.raises(LeaseGone):
        await store.put("k", b"", lease=lease.id)
    again = await store.lease(3)  # without delay: the lock delay of Consul's default would refuse it for 15 s
    assert (await store.put("k", b"", lease=again.id)).ok


async def test_a_key_changes_from_lease_to_lease_and_to_none(consul: Consul, opened: Open) -> None:
    store = await opened(consul.url)
    one, two = await store.lease(30), await store.lease(30)
    await store.put("k", b"1", lease=one.id)
    await store.put("k", b"2", lease=two.id)
    await one.revoke()
    assert (await store.get("k")).lease == two.id
    await store.put("k", b"3")
    await two.revoke()
    found = await store.get("k")
    assert (found.value, found.lease) == (b"3", "")


async def test_a_fence_holds_while_its_key_is_rewritten(consul: Consul, opened: Open) -> None:
    """Consul knows no check of creation: ours must neither fail for a rewrite nor pass for a new key."""
    store = await opened(consul.url)
    created = (await store.put("role", b"0")).position.revision

    async def rewrite() -> None:
        for number in range(100):
            await store.put("role", str(number).encode())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rewrite())
        for _ in range(50):
            assert (await store.txn([Check("role", created=created)], [Put("x", b"")])).ok
    await store.delete("role")
    await store.put("role", b"")
    assert (await store.txn([Check("role", created=created)], [Put("x", b"")])).failed == ("role",)


async def test_an_older_snapshot_put_back_is_another_history(consul: Consul, opened: Open) -> None:
    """Consul wakes a waiting query with the old data and the old index, and then says nothing."""
    store = await opened(consul.url, bookmark=60)
    await store.put("k1", b"old")
    backup = consul.call("GET", "/v1/snapshot")
    await store.put("k1", b"new")
    await store.put("k2", b"new")
    async with observing(store, "k") as seen:
        await asyncio.to_thread(consul.call, "PUT", "/v1/snapshot", backup)
        await seen.until(lambda one: one.state == {"k1": b"old"}, 20)
        assert seen.reasons == ["start", "reset"]
        await put_surely(store, "k3", b"")
        await seen.until(lambda one: "k3" in one.state)


async def test_a_consul_that_was_wiped_is_another_history(consul: Consul, opened: Open) -> None:
    store = await opened(consul.url, bookmark=1)
    for number in range(20):
        await store.put(f"k{number}", b"")
    async with observing(store, "k") as seen:
        before = seen.position
        consul.kill()
        consul.wipe()
        await asyncio.to_thread(consul.start)
        await seen.until(lambda one: not one.state, 20)
        assert seen.reasons == ["start", "reset"]
        assert seen.position.epoch != before.epoch


async def test_waiting_queries_starve_no_renewal(consul: Consul, opened: Open) -> None:
    """py-consul's own transport shares 100 connections among all: with 150 watches its sessions end."""
    store = await opened(consul.url, bookmark=30)
    lease = await store.lease(3)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(150):
            await stack.enter_async_context(observing(store, f"p{number}/"))
        await asyncio.sleep(7)
        assert not lease.lost.is_set()
        await store.put("p149/k", b"")


@pytest.fixture
async def breaking() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that takes a request whole and closes the connection instead of an answer."""
    seen: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(f"{request.method} {request.path}")
        await request.read()
        if request.path == "/v1/txn" and len(seen) > 2:
            request.transport.close()
        return web.json_response({"Results": [{"KV": {"Key": "k", "ModifyIndex": 7, "CreateIndex": 7}}]})

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"consul://127.0.0.1:{port}", seen
    await runner.cleanup()


async def test_a_write_that_was_cut_off_is_not_sent_again(
    breaking: tuple[str, list[str]], opened: Open
) -> None:
    """aiohttp repeats a PUT on its own when a kept connection breaks."""
    url, seen = breaking
    store = await opened(url)
    assert (await store.put("k", b"")).ok
    seen.append("broken from here")
    with pytest.raises(Unknown):
        await store.put("k", b"")
    assert seen[-1] == "PUT /v1/txn"
    assert seen.count("PUT /v1/txn") == 2


async def test_a_registry_that_is_down_can_be_opened(tmp_path: Path, opened: Open) -> None:
    require_consul()
    server = Consul(tmp_path / "consul")
    store = await opened(server.url, timeout=1)
    with pytest.raises(Unavailable):
        await store.get("k")
    with pytest.raises(Unavailable):
        await store.put("k", b"")
    await asyncio.to_thread(server.start)
    await put_surely(store, "k", b"")
    async with observing(store, "k") as seen:
        assert seen.state == {"k": b""}
    server.kill()
