"""What is wrong with the registry when a pilotd starts is said in one line, and nothing there is changed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from every_daemon import everyone, said
from live_mesh import Pilotd, wait
from meshlet import Ca
from required_servers import require_etcd
from servers import EtcdCluster, encoded, free_ports

from artemon.store.open import open_store

pytestmark = pytest.mark.etcd
NEWER = json.dumps({"version": 99, "reads": 99}).encode()


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdCluster]:
    require_etcd()
    cluster = EtcdCluster(tmp_path / "etcd").start()
    yield cluster
    cluster.kill()


def put(etcd: EtcdCluster, key: str, value: bytes) -> None:
    etcd.members[0].gateway("kv/put", {"key": encoded(key), "value": encoded(value)})


def get(etcd: EtcdCluster, key: str) -> str:
    return str(etcd.members[0].gateway("kv/range", {"key": encoded(key)})["kvs"][0]["value"])


def test_each_is_named_in_a_line(etcd: EtcdCluster, tmp_path: Path) -> None:
    ca, nowhere = Ca(), f"127.0.0.1:{free_ports(1)[0]}"
    wrong = Pilotd(tmp_path / "wrong", ca, "wrong", registry=f"etcd://{nowhere}")
    foreign, newer, leaderless = (
        Pilotd(tmp_path / name, ca, name, registry=etcd.url) for name in ("foreign", "newer", "leaderless")
    )
    try:
        wrong.start()
        wait(lambda: nowhere in said(wrong), "the wrong address", 90)
        assert wrong.ready()["ready"] is False
        put(etcd, "artemon/default/config/colours/shop/red", b"\xff not ours")
        foreign.start()
        foreign.wait_ready()
        wait(lambda: "config/colours/shop/red" in said(foreign), "the value that is not ours", 60)
        assert get(etcd, "artemon/default/config/colours/shop/red") == encoded(b"\xff not ours")
        put(etcd, "artemon/default/schema", NEWER)
        assert foreign.process is not None
        assert foreign.process.wait(90) != 0, "one that runs does not go on either"
        assert [line for line in said(foreign).splitlines() if "99" in line and "upgrade it" in line]
        newer.start()
        assert newer.process is not None
        assert newer.process.wait(90) != 0
        assert [line for line in said(newer).splitlines() if "99" in line]
        assert get(etcd, "artemon/default/schema") == encoded(NEWER)
        etcd.members[0].gateway("kv/deleterange", {"key": encoded("artemon/default/schema")})
        for member in etcd.members[1:]:
            member.signal(signal.SIGSTOP)
        leaderless.start()
        wait(lambda: "not_listed" in said(leaderless), "that nobody leads", 90)
        assert "registry" in leaderless.ready()["waiting"]
    finally:
        for pilot in (wrong, foreign, newer, leaderless):
            pilot.kill()


def test_a_newer_schema_ends_every_daemon_with_a_line(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/mesh.db"

    async def stored(*, write: bool) -> list[tuple[str, bytes]]:
        store = await open_store(url)
        if write:
            await store.put("artemon/default/schema", NEWER)
        found = [(entry.key, entry.value) for entry in (await store.list("")).entries]
        await store.close()
        return found

    before = asyncio.run(stored(write=True))
    daemons = everyone(tmp_path, url)
    try:
        for one in daemons:
            one.start()
        for one in daemons:
            assert one.process is not None
            assert one.process.wait(120) == 1, one.name
            lines = [line for line in said(one).splitlines() if "schema 99" in line]
            assert len(lines) == 1, said(one)
            assert "upgrade it; nothing was changed" in lines[0]
            assert "Traceback" not in said(one)
        assert asyncio.run(stored(write=False)) == before
    finally:
        for one in daemons:
            one.kill()
