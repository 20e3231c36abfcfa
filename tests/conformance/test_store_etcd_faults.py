"""The registry in etcd when the server dies, freezes, forgets or is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest
from conftest import Open, require_etcd
from etcd_relay import changing_relay
from losing import Losing
from observe import Observer, observing, wait_set
from prometheus_client import CollectorRegistry
from servers import Etcd, free_ports

from artemon.api.v1 import etcd_pb2 as pb
from artemon.errors import ArtemonError, Unavailable, Unknown
from artemon.store.api import Batch, Put, Stale, Store
from artemon.store.etcd.member import COMPACT
from artemon.store.etcd.settings import EtcdSettings
from artemon.store.etcd.watch import Resumption
from artemon.store.follow import Follow, FollowMetrics

pytestmark = pytest.mark.etcd


async def put_surely(store: Store, key: str, value: bytes) -> None:
    """Write until it is acknowledged."""
    async with asyncio.timeout(20):
        while True:
            try:
                await store.put(key, value)
                return
            except (Unavailable, Unknown):
                await asyncio.sleep(0.05)


async def test_nothing_is_lost_when_the_server_is_killed(etcd: Etcd, opened: Open) -> None:
    store, writer = await opened(etcd.url), await opened(etcd.url)
    async with observing(store, "k") as seen:
        for number in range(60):
            if number in {20, 40}:
                etcd.kill()
                etcd.start(wait=False)
            await put_surely(writer, f"k{number}", b"")
        await seen.until(lambda one: len(one.state) == 60)
        assert seen.reasons == ["start"]


async def test_a_frozen_server_is_waited_for(etcd: Etcd, opened: Open) -> None:
    store = await opened(etcd.url, timeout=1, bookmark=0.5, stale_after=1.5)
    await store.put("k1", b"")
    async with observing(store, "k") as seen:
        etcd.signal(signal.SIGSTOP)
        with pytest.raises(Unknown):
            await store.put("k2", b"")
        with pytest.raises(Unavailable):
            await store.get("k1")
        await seen.until(lambda one: isinstance(one.items[-1], Stale), 15)
        assert set(seen.state) >= {"k1"}
        etcd.signal(signal.SIGCONT)
        await put_surely(store, "k3", b"")
        await seen.until(lambda one: "k3" in one.state)
        assert seen.reasons == ["start"]


async def test_a_lease_is_lost_by_the_local_clock_before_the_server_acts(etcd: Etcd, opened: Open) -> None:
    store = await opened(etcd.url)
    lease = await store.lease(2)
    await store.put("k", b"", lease=lease.id)
    etcd.signal(signal.SIGSTOP)
    await wait_set(lease.lost, 3)
    etcd.signal(signal.SIGCONT)
    async with observing(store, "k") as seen:
        await seen.until(lambda one: not one.state, 8)


async def test_a_write_to_a_dead_server_is_surely_not_applied(etcd: Etcd, opened: Open) -> None:
    store = await opened(etcd.url, timeout=1)
    etcd.kill()
    await asyncio.sleep(0.2)
    with contextlib.suppress(Unavailable, Unknown):  # the connection may not know yet
        await store.put("k0", b"")
    with pytest.raises(Unavailable):
        await store.put("k", b"")
    etcd.start()
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(Unavailable):
                assert await store.get("k") is None
                break


async def test_history_compacted_while_away_is_replaced_by_a_snapshot(etcd: Etcd, opened: Open) -> None:
    store = await opened(etcd.url)
    await store.put("k0", b"")
    async with observing(store, "k") as seen:
        etcd.kill()
        (elsewhere,) = free_ports(1)
        etcd.start(port=elsewhere)
        writer = await opened(f"etcd://127.0.0.1:{elsewhere}")
        await writer.delete("k0")
        last = await writer.put("k1", b"")
        await writer._client.call(
            COMPACT, pb.CompactionRequest(revision=last.position.revision, physical=True)
        )
        etcd.kill()
        etcd.start()
        await seen.until(lambda one: set(one.state) == {"k1"}, 15)
        assert seen.reasons == ["start", "compacted"]


@pytest.mark.parametrize(
    "writes", [pytest.param(2, id="behind"), pytest.param(40, id="ahead-of-where-we-were")]
)
async def test_a_store_that_was_wiped_is_another_history(etcd: Etcd, opened: Open, writes: int) -> None:
    store = await opened(etcd.url)
    for number in range(20):
        await store.put(f"k{number}", b"")
    etcd.kill()
    etcd.start()  # so that the term has grown
    await put_surely(store, "k20", b"")
    async with observing(store, "k") as seen:
        before = seen.position
        etcd.kill()
        etcd.wipe()
        (elsewhere,) = free_ports(1)
        etcd.start(port=elsewhere)
        writer = await opened(f"etcd://127.0.0.1:{elsewhere}")
        for number in range(writes):
            await writer.put(f"new{number}", b"")
        await writer.put("knew", b"")
        etcd.kill()
        etcd.start()
        await seen.until(lambda one: set(one.state) == {"knew"}, 15)
        assert seen.reasons == ["start", "reset"]
        assert seen.position.epoch != before.epoch


async def test_catching_up_12_megabytes_is_cut_and_goes_on(etcd: Etcd, opened: Open) -> None:
    store = await opened(etcd.url)
    start = await store.list("k")
    for part in range(40):
        await store.txn([], [Put(f"k{part:02}/{number:02}", bytes(8000)) for number in range(40)])
    resumption = Resumption(store._client, "k", start, EtcdSettings())
    found: list[str] = []
    cut = False
    async with asyncio.timeout(25):
        async for item in resumption.items():
            if isinstance(item, Batch):
                found += [change.key for change in item.changes]
            if found and not cut:
                cut = True
                etcd.kill()
                etcd.start()
            if len(found) >= 1600:
                break
    assert found == sorted(set(found))
    assert len(found) == 1600


async def test_a_registry_that_is_down_can_be_opened(tmp_path: Path, opened: Open) -> None:
    require_etcd()
    server = Etcd(tmp_path / "etcd")
    store = await opened(server.url, timeout=1)
    observer = Observer(store, "k")
    with pytest.raises(Unavailable):
        await store.get("k")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(observer.run())
        await asyncio.to_thread(server.start)
        await put_surely(store, "k", b"")
        await observer.until(lambda one: one.state == {"k": b""})
        running.cancel()
    server.kill()


@pytest.mark.parametrize(
    ("url", "settings", "words"),
    [
        pytest.param("etcd+http://10.0.0.1:2379", {}, "plaintext to another machine", id="plaintext"),
        pytest.param("etcd://127.0.0.1/path", {}, "nothing after it", id="path"),
        pytest.param("etcd+ftp://127.0.0.1", {}, "unknown scheme", id="scheme"),
        pytest.param("etcd://127.0.0.1:x", {}, "not a host and a port", id="port"),
        pytest.param("etcd+http://127.0.0.1", {"ca": "/x"}, "the scheme is without TLS", id="ca-unused"),
        pytest.param("etcd://10.0.0.1", {"cert": "/x"}, "cert and key must be given together", id="no-key"),
        pytest.param("etcd://10.0.0.1", {"ca": "/none"}, "/none cannot be read", id="no-ca"),
        pytest.param("etcd://127.0.0.1", {"user": "u"}, "user and password_file", id="no-password"),
        pytest.param("etcd://127.0.0.1", {"tiemout": 3}, "tiemout: is not a setting", id="unknown-setting"),
        pytest.param("zookeeper://127.0.0.1", {}, "use one of", id="unknown-backend"),
    ],
)
async def test_wrong_addresses_and_settings_are_refused(
    opened: Open, url: str, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ArtemonError, match=words):
        await opened(url, **settings)


async def test_a_watch_that_loses_events_is_found_out(etcd: Etcd, opened: Open) -> None:
    """Also a deletion that was the last thing that happened; without comparing it would never be noticed."""
    writer, metrics = await opened(etcd.url), CollectorRegistry()
    losing = Losing(11, share=0.05)
    async with changing_relay(etcd.port, losing.stream) as port:
        store = await opened(f"etcd://127.0.0.1:{port}", bookmark=0.5, compare=1)
        follow = Follow(store, "k", lambda _: None, metrics=FollowMetrics(metrics))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(follow.run())
            await wait_set(follow.synced, 10)
            for number in range(300):
                await writer.put(f"k{number % 40}", str(number).encode())
                if number % 3 == 0:
                    await writer.delete(f"k{number % 40}")
            losing.share, told = 1.0, len(losing.lost)
            async with asyncio.timeout(30):
                while ("k1", True) not in losing.lost[told:]:  # it may be starting over at the moment
                    await writer.put("k1", b"again")
                    await writer.delete("k1")
                    await asyncio.sleep(0.2)
            losing.share = 0.0
            wanted = {entry.key: entry.value for entry in (await writer.list("k")).entries}
            async with asyncio.timeout(30):
                while {entry.key: entry.value for entry in follow.entries.values()} != wanted:
                    await asyncio.sleep(0.05)
            running.cancel()
        assert losing.repeated
        assert losing.late
        await store.close()
    again = {"view": "world", "reason": "diverged"}
    assert metrics.get_sample_value("artemon_store_resyncs_total", again)
