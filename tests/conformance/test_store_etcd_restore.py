"""A backup of etcd that an operator puts back with etcdutl: every member begins anew, and clients notice."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from conftest import Open
from observe import observing
from required_servers import require_etcd
from servers import Etcd, EtcdCluster, find_etcdutl
from test_store_etcd_faults import put_surely

from artemon.store.follow import Follow

pytestmark = pytest.mark.go
KEYS = 10
RAISED = ("--bump-revision", "1000", "--mark-compacted")


@pytest.fixture
def etcdutl() -> str:
    require_etcd()
    found = find_etcdutl()
    if found is None:
        pytest.skip("no etcdutl: run .ci/servers etcdutl, or set ARTEMON_ETCDUTL")
    return found


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param((), "reset", id="the-revision-goes-back"),
        pytest.param(RAISED, "compacted", id="the-revision-is-raised"),
    ],
)
async def test_a_snapshot_that_was_restored_is_another_history(
    etcd_cluster: EtcdCluster, opened: Open, etcdutl: str, options: tuple[str, ...], reason: str
) -> None:
    store = await opened(etcd_cluster.url, bookmark=1)
    for number in range(KEYS):
        await put_surely(store, f"k{number}", b"old")
    saved = await asyncio.to_thread(snapshot, etcd_cluster.members[0], etcd_cluster.folder / "saved")
    for number in range(2 * KEYS):
        await put_surely(store, f"k{number}", b"new")
    old = {f"k{number}": b"old" for number in range(KEYS)}
    async with observing(store, "k") as seen:
        await asyncio.to_thread(restore, etcd_cluster, etcdutl, saved, options)
        await seen.until(lambda one: one.state == old, 60)
        assert seen.reasons[-1] == reason
        await put_surely(store, "k0", b"after")
        await seen.until(lambda one: one.state["k0"] == b"after", 30)


async def test_what_an_empty_restored_registry_lacks_is_held(
    etcd_cluster: EtcdCluster, opened: Open, etcdutl: str
) -> None:
    """The backup is from before everything: a pilotd that believed it would empty the mesh."""
    store = await opened(etcd_cluster.url, bookmark=1)
    saved = await asyncio.to_thread(snapshot, etcd_cluster.members[0], etcd_cluster.folder / "saved")
    for number in range(KEYS):
        await put_surely(store, f"k{number}", b"")
    follow = Follow(store, "k", lambda _: None)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(follow.run())
        async with asyncio.timeout(90):
            await follow.synced.wait()
            await asyncio.to_thread(restore, etcd_cluster, etcdutl, saved, ())
            while len(follow.held) < KEYS:
                await asyncio.sleep(0.05)
        assert len(follow.entries) == KEYS
        await put_surely(store, "k0", b"registered again")
        async with asyncio.timeout(30):
            while "k0" in follow.held:
                await asyncio.sleep(0.05)
        follow.release()
        assert set(follow.entries) == {"k0"}
        running.cancel()


def snapshot(member: Etcd, file: Path) -> Path:
    """As `etcdctl snapshot save` does, over the JSON gateway."""
    url = f"http://127.0.0.1:{member.port}/v3/maintenance/snapshot"
    with urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=30) as answer:
        parts = [json.loads(line)["result"].get("blob", "") for line in answer]
    file.write_bytes(b"".join(map(base64.b64decode, parts)))
    return file


def restore(cluster: EtcdCluster, etcdutl: str, saved: Path, options: tuple[str, ...]) -> None:
    """All members stop, are made anew from the file, and start: as etcd's page on disaster recovery says."""
    cluster.kill()
    peers = {name: f"http://127.0.0.1:{port}" for name, port in cluster.peers.items()}
    whole = ",".join(f"{name}={url}" for name, url in peers.items())
    for member in cluster.members:
        member.wipe()
        command = (shutil.which(etcdutl) or etcdutl, "snapshot", "restore", str(saved), "--name", member.name)
        place = ("--data-dir", str(member.folder / "data"), "--initial-cluster", whole)
        own = ("--initial-advertise-peer-urls", peers[member.name], *options)
        subprocess.run([*command, *place, *own], check=True, capture_output=True)
    cluster.start()
