"""What is wrong with the registry when a pilotd starts is said in one line, and nothing there is changed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import Authority
from live_mesh import Pilotd, Process, wait
from meshlet import Ca
from required_servers import require_etcd
from servers import Etcd, EtcdCluster, encoded, free_ports

from artemon.daemon.identity_files import save_identity
from artemon.daemon.identity_tls import server_name
from artemon.store.open import open_store

pytestmark = pytest.mark.etcd
UNTRUSTED = "its certificate is not trusted"
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


def said(pilot: Process) -> str:
    return pilot.log.read_text() if pilot.log.exists() else ""


def everyone(folder: Path, registry: str) -> list[Process]:
    """One of each daemon that uses a registry, with identities of nobody's mesh; not started."""
    ca, made = Ca(), list[Process]()
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    for module in ("pilotd", "citadeld", "galleyd", "mixerd"):
        port, http, join = free_ports(3)
        home = folder / module
        own = {
            "pilotd": {"data_dir": str(home / "data"), "socket": str(home / "p.sock")},
            "citadeld": {
                "data_dir": str(home / "data"),
                "socket": str(home / "c.sock"),
                "join_listen": f"127.0.0.1:{join}",
            },
            "galleyd": {"state_dir": str(home / "data"), "citadeld": [nowhere]},
            "mixerd": {"data_dir": str(home / "data"), "citadeld": [nowhere]},
        }[module]
        if module != "citadeld":
            own["identity_dir"] = str(home / "identity")
            save_identity(home / "identity", ca.identity("artemon-system", module, server_name(module)))
        addresses = {"http": f"127.0.0.1:{http}", "listen": f"127.0.0.1:{port}"}
        made.append(Process(home, module, {"node": module, "registry": registry, **addresses, **own}))
    return made


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


def test_a_wrong_authority_is_named_by_every_daemon(tmp_path: Path) -> None:
    require_etcd()
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    files = authority.issue("server")
    etcd = Etcd(tmp_path / "etcd", tls=("--cert-file", files.cert, "--key-file", files.key)).start()
    registry = f"{etcd.url}?ca={other.file}&stale_after=2"
    port, http, join = free_ports(3)
    citadel = {
        "node": "citadeld",
        "http": f"127.0.0.1:{http}",
        "listen": f"127.0.0.1:{port}",
        "join_listen": f"127.0.0.1:{join}",
        "registry": registry,
        "data_dir": str(tmp_path / "citadeld" / "data"),
        "socket": str(tmp_path / "citadeld" / "c.sock"),
    }
    daemons = [
        Pilotd(tmp_path / "pilotd", Ca(), "pilotd", registry=registry),
        Process(tmp_path / "citadeld", "citadeld", citadel),
    ]
    try:
        for one in daemons:
            one.start()
        for one in daemons:
            wait(lambda one=one: UNTRUSTED in said(one), f"the log of {one.name}", 90)
            wait(lambda one=one: UNTRUSTED in str(one.ready()), f"the status of {one.name}", 90)
            assert one.ready()["ready"] is False
            one.stop()
            assert one.process is not None
            assert one.process.returncode == 0, "it was waiting, not failing"
    finally:
        for one in daemons:
            one.kill()
        etcd.kill()
