"""Rights that are taken away while citadeld, galleyd and pilotd run, all or those to write alone: each says
so, works on with what it knows, and goes on when they are back, in the same process."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from consul_door import MINIMAL, READING, SecureCluster
from live_mesh import Process, wait
from required_servers import require_consul, require_etcd
from servers import EtcdCluster, encoded, guard
from whole_site import WholeSite

KEYS = {"key": encoded("artemon/"), "range_end": encoded("artemon0")}
ROLE = {"permType": "READWRITE", **KEYS}
UNWRITTEN = "workloads are not written"


@dataclass
class Door:
    """A registry with users. url: of the mesh. take, give: its rights, and give back. words: what is said.
    seal, open: take the right to write alone, and give it back."""

    cluster: Any
    url: str
    take: Callable[[], None]
    give: Callable[[], None]
    words: str
    seal: Callable[[], None]
    open: Callable[[], None]


@contextmanager
def etcd_door(folder: Path) -> Iterator[Door]:
    """The user and the role of docs/operate/registries.md; the role is taken away."""
    require_etcd()
    cluster = EtcdCluster(folder / "etcd").start()
    try:
        ask = cluster.members[0].gateway
        guard(ask, lambda name: {"password": name}, ROLE)
        (folder / "password").write_text("artemon")

        def operator(path: str, body: dict[str, object]) -> None:
            token = ask("auth/authenticate", {"name": "root", "password": "root"})["token"]
            url = f"http://127.0.0.1:{cluster.members[0].port}/v3/{path}"
            request = urllib.request.Request(url, json.dumps(body).encode(), {"Authorization": token})
            urllib.request.urlopen(request, timeout=10).read()

        def granted(right: str) -> None:
            operator("auth/role/grant", {"name": "artemon", "perm": {**ROLE, "permType": right}})

        yield Door(
            cluster,
            f"{cluster.url}?user=artemon&password_file={folder / 'password'}&stale_after=5",
            lambda: operator("auth/role/revoke", {"role": "artemon", **KEYS}),
            lambda: granted("READWRITE"),
            "permission denied",
            lambda: granted("READ"),
            lambda: granted("READWRITE"),
        )
    finally:
        cluster.kill()


@contextmanager
def consul_door(folder: Path) -> Iterator[Door]:
    """Three servers with TLS and ACLs; the token is revoked, and another written into its file."""
    require_consul()
    secure = SecureCluster(folder / "consul")
    try:
        token = secure.token(MINIMAL)
        url = secure.url(token, "token")
        file = Path(secure.settings(token)["token_file"])
        yield Door(
            secure.cluster,
            f"{url}&stale_after=5",
            lambda: secure.revoke(token),
            lambda: file.write_text(secure.token(MINIMAL)) and None,
            "ACL not found",
            lambda: secure.change(file.read_text().strip(), READING),
            lambda: secure.change(file.read_text().strip(), MINIMAL),
        )
    finally:
        secure.cluster.kill()


@pytest.fixture(
    params=[
        pytest.param(etcd_door, marks=pytest.mark.etcd, id="etcd"),
        pytest.param(consul_door, marks=pytest.mark.consul, id="consul"),
    ]
)
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    with request.param(tmp_path) as made:
        yield made


@pytest.mark.timeout(300)
def test_each_daemon_says_so_and_nothing_is_dropped(door: Door, tmp_path: Path) -> None:
    site = WholeSite(tmp_path / "site", cluster=door.cluster, url=door.url, replicas=1)
    mixerd = site.mixerd()
    daemons = [*site.everything(), mixerd]
    try:
        site.start_daemons()
        site.join(mixerd)
        mixerd.wait_ready()
        assert site.apply(0, "one.example.com", "/") == 201
        wait(lambda: known(site) == 1, "pilotd has it", 60)
        processes = [one.process for one in daemons]
        door.take()
        for one in daemons:
            wait(lambda one=one: door.words in str(one.ready()["degraded"]), f"{one.name} says so", 90)
            assert one.ready()["ready"], "it works on with what it knows"
        assert site.apply(0, "two.example.com", "/") >= 400
        wait(lambda: registry(site)["state"] == "stale", "what pilotd shows of the registry is stale", 90)
        assert door.words in registry(site)["reason"]
        assert known(site) == 1
        door.give()
        wait(lambda: not any(map(silent, daemons)), "they read again", 90)
        assert site.apply(0, "three.example.com", "/") == 201
        wait(lambda: known(site) == 2, "pilotd has the next", 60)
        door.seal()
        wait(lambda: UNWRITTEN in site.pilots[0].ready()["degraded"], "pilotd says that it cannot write", 90)
        assert site.apply(0, "four.example.com", "/") >= 400
        assert not any(map(silent, daemons)), "reading goes on"
        door.open()
        wait(lambda: UNWRITTEN not in site.pilots[0].ready()["degraded"], "pilotd writes again", 90)
        assert site.apply(0, "five.example.com", "/") == 201
        wait(lambda: known(site) == 3, "pilotd has it", 60)
        assert [one.process for one in daemons if one.alive] == processes
    finally:
        mixerd.kill()
        site.stop_all()


def silent(one: Process) -> bool:
    return "registry is silent" in one.ready()["degraded"]


def registry(site: WholeSite) -> dict[str, Any]:
    """What pilotd shows of the registry itself."""
    shown: dict[str, Any] = site.pilots[0].page("/debug/registries")[0]
    return shown


def known(site: WholeSite) -> float:
    """How many objects pilotd knows."""
    return site.pilots[0].metric('artemon_store_view_keys{view="config"}')
