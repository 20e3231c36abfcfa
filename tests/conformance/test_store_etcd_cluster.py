"""The registry in three members of etcd: leaders die, quorums end, members are replaced, space runs out."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import signal
import ssl
import time
import urllib.request
from pathlib import Path

import pytest
from authority import Authority
from conftest import Open, require_etcd
from delaying import slow_relay
from observe import observing, wait_set
from servers import Etcd, EtcdCluster, free_ports, guard
from test_store_etcd_faults import put_surely

from artemon.errors import StoreError, Unavailable, Unknown
from artemon.store.api import Put, Stale, Store

pytestmark = pytest.mark.etcd


async def test_every_member_is_killed_in_turn(etcd_cluster: EtcdCluster, opened: Open) -> None:
    store, writer = await opened(etcd_cluster.url), await opened(etcd_cluster.url)
    lease = await store.lease(6)
    await store.put("leased", b"", lease=lease.id)
    async with observing(store, "k") as seen:
        for number in range(90):
            if number % 30 == 10:
                etcd_cluster.members[number // 30].kill()
            if number % 30 == 25:
                etcd_cluster.members[number // 30].start()
            await put_surely(writer, f"k{number}", b"")
        await seen.until(lambda one: len(one.state) == 90, 15)
        assert seen.reasons == ["start"]
    assert not lease.lost.is_set()
    assert await store.get("leased") is not None


async def test_the_leader_is_killed_again_and_again_and_nothing_happens_twice(
    etcd_cluster: EtcdCluster, opened: Open
) -> None:
    """A counter by compare-and-set: an acknowledged step counts once, one in doubt at most once."""
    store = await opened(etcd_cluster.url)
    await store.put("n", b"0")
    acknowledged = doubtful = 0
    for _ in range(4):
        leader = await asyncio.to_thread(etcd_cluster.leader)
        leader.kill()
        for _ in range(10):
            try:
                found = await store.get("n")
                value = str(int(found.value) + 1).encode()
                acknowledged += (await store.put("n", value, if_version=found.version)).ok
            except Unknown:
                doubtful += 1
            except Unavailable:
                await asyncio.sleep(0.1)
        await asyncio.to_thread(leader.start)
    total = int((await store.get("n")).value)
    assert acknowledged <= total <= acknowledged + doubtful
    assert acknowledged >= 20


async def test_without_quorum_nobody_leaves_and_the_member_in_use_says_so(
    etcd_cluster: EtcdCluster, opened: Open
) -> None:
    """The member in use lives on but has lost its peers: without `hasleader` it would just be silent."""
    alone, *frozen = etcd_cluster.members
    store = await opened(f"etcd://127.0.0.1:{alone.port}", timeout=1, bookmark=0.5, stale_after=3)
    lease = await store.lease(2)
    await store.put("k1", b"", lease=lease.id)
    async with observing(store, "k") as seen:
        for member in frozen:
            member.signal(signal.SIGSTOP)
        await seen.until(lambda one: isinstance(one.items[-1], Stale), 30)
        await wait_set(lease.lost, 5)
        with pytest.raises((Unavailable, Unknown)):
            await store.put("k2", b"")
        assert set(seen.state) >= {"k1"}, "nobody may leave on silence"
        for member in frozen:
            member.signal(signal.SIGCONT)
        await put_surely(store, "k3", b"")
        await seen.until(lambda one: "k3" in one.state, 20)
        assert seen.reasons == ["start"]


async def test_a_member_is_replaced_under_way(etcd_cluster: EtcdCluster, opened: Open) -> None:
    store = await opened(etcd_cluster.url)
    gone, stays, _ = etcd_cluster.members
    async with observing(store, "k") as seen:
        await put_surely(store, "k1", b"")
        listed = stays.gateway("cluster/member/list", {})["members"]
        number = next(one["ID"] for one in listed if one["name"] == gone.name)
        gone.kill()
        await asyncio.to_thread(_surely, stays, "cluster/member/remove", {"ID": number})
        ports = free_ports(2)
        peer = [f"http://127.0.0.1:{ports[1]}"]
        await asyncio.to_thread(_surely, stays, "cluster/member/add", {"peerURLs": peer})
        cluster = {name: port for name, port in etcd_cluster.peers.items() if name != gone.name}
        fresh = Etcd(
            etcd_cluster.folder / "e3",
            name="e3",
            ports=ports,
            cluster=cluster | {"e3": ports[1]},
            options=("--initial-cluster-state", "existing"),
        )
        etcd_cluster.members.append(fresh)
        await asyncio.to_thread(fresh.start)
        await put_surely(store, "k2", b"")
        other = await opened(f"etcd://127.0.0.1:{fresh.port}")
        assert [entry.key for entry in (await other.list("k")).entries] == ["k1", "k2"]
        await seen.until(lambda one: set(one.state) == {"k1", "k2"})
        assert seen.reasons == ["start"]


def _surely(member: Etcd, path: str, body: dict[str, object]) -> None:
    """A change of the cluster is refused while it is not healthy again."""
    for attempt in range(60):
        try:
            member.gateway(path, body)
            return
        except OSError:
            if attempt == 59:
                raise
            time.sleep(0.5)


async def test_when_space_runs_out_leases_live_and_writes_return(tmp_path: Path, opened: Open) -> None:
    require_etcd()
    etcd = Etcd(tmp_path / "etcd", options=("--quota-backend-bytes", "6000000")).start()
    try:
        store = await opened(etcd.url, timeout=2)
        lease = await store.lease(3)
        await store.put("leased", b"", lease=lease.id)
        with pytest.raises(Unavailable, match="database space exceeded"):
            await _fill(store)
        await asyncio.sleep(4)
        assert not lease.lost.is_set()
        assert await store.get("leased") is not None
        revision = (await store.list("k")).position.revision
        etcd.gateway("kv/compaction", {"revision": str(revision), "physical": True})
        etcd.gateway("maintenance/defragment", {})
        for alarm in etcd.gateway("maintenance/alarm", {"action": "GET"})["alarms"]:
            etcd.gateway("maintenance/alarm", {"action": "DEACTIVATE", **alarm})
        await put_surely(store, "k", b"back")
    finally:
        etcd.kill()


async def _fill(store: Store) -> None:
    async with asyncio.timeout(60):
        while True:
            await store.put("k", bytes(200_000))


async def test_a_backup_put_back_is_another_history(etcd: Etcd, opened: Open, tmp_path: Path) -> None:
    store = await opened(etcd.url)
    await store.put("k1", b"old")
    etcd.kill()
    shutil.copytree(etcd.folder / "data", tmp_path / "backup")
    etcd.start()
    for number in range(20):
        await put_surely(store, f"k{number}", b"new")
    async with observing(store, "k") as seen:
        etcd.kill()
        etcd.wipe()
        shutil.copytree(tmp_path / "backup", etcd.folder / "data")
        etcd.start()
        await seen.until(lambda one: one.state == {"k1": b"old"}, 20)
        assert seen.reasons == ["start", "reset"]


async def test_a_slow_network_loses_no_lease(etcd: Etcd, opened: Open) -> None:
    """200 ms each way and 1 Mbit/s."""
    writer = await opened(etcd.url)
    async with slow_relay(etcd.port, delay=0.2, rate=125_000) as port:
        store = await opened(f"etcd://127.0.0.1:{port}", timeout=10)
        lease = await store.lease(4)
        await store.put("leased", b"", lease=lease.id)
        async with observing(store, "k") as seen:
            for number in range(40):
                await writer.put(f"k{number}", bytes(10_000))
                await asyncio.sleep(0.2)
            await seen.until(lambda one: len(one.state) == 40, 30)
            assert seen.reasons == ["start"]
        assert not lease.lost.is_set()
        assert await writer.get("leased") is not None
        await store.close()


READWRITE = {"permType": "READWRITE", "key": "artemon/", "range_end": "artemon0"}


@pytest.mark.parametrize(
    ("permission", "words"),
    [
        pytest.param(READWRITE, "", id="the-documented"),
        pytest.param(READWRITE | {"permType": "READ"}, "permission denied", id="read-only"),
        pytest.param(READWRITE | {"permType": "WRITE"}, "permission denied", id="write-only"),
        pytest.param(READWRITE | {"range_end": "artemon/b"}, "permission denied", id="some-keys"),
    ],
)
async def test_a_client_certificate_is_the_user_and_its_role_what_is_needed(
    tmp_path: Path, opened: Open, permission: dict[str, str], words: str
) -> None:
    require_etcd()
    authority = Authority(tmp_path / "ca")
    server, client = authority.issue("server"), authority.issue("artemon")
    files = ("--client-cert-auth", "--trusted-ca-file", str(authority.file))
    etcd = Etcd(tmp_path / "etcd", tls=(*files, "--cert-file", server.cert, "--key-file", server.key)).start()
    try:
        await asyncio.to_thread(_roles, etcd, authority, client, permission)
        store = await opened(etcd.url, ca=authority.file, cert=client.cert, key=client.key)
        if words:
            with pytest.raises(StoreError, match=words):
                await _use(store)
        else:
            await _use(store)
            with pytest.raises(StoreError, match="permission denied"):
                await store.put("elsewhere", b"")
    finally:
        etcd.kill()


async def _use(store: Store) -> None:
    """All that the mesh does."""
    await store.list("artemon/")
    lease = await store.lease(2)
    await store.txn([], [Put("artemon/a", b"1"), Put("artemon/b", b"2", lease.id)])
    await store.delete("artemon/a")
    election = await store.elect("artemon/role", "one", 2)
    await wait_set(election.leading, 10)
    await store.txn([election.check()], [Put("artemon/c", b"")])
    await election.resign()
    async with observing(store, "artemon/") as seen:
        assert seen.state == {"artemon/b": b"2", "artemon/c": b""}
    await lease.revoke()


def _roles(etcd: Etcd, authority: Authority, client, permission: dict[str, str]) -> None:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.load_cert_chain(client.cert, client.key)

    def ask(path: str, body: dict[str, object]) -> None:
        url = f"https://127.0.0.1:{etcd.port}/v3/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode())
        urllib.request.urlopen(request, timeout=10, context=context).read()

    coded = {name: base64.b64encode(permission[name].encode()).decode() for name in ("key", "range_end")}
    guard(ask, lambda _: {"options": {"no_password": True}}, {**permission, **coded})
