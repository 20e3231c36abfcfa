"""A registry that cannot be used when citadeld, galleyd, mixerd and pilotd start: each says why, in a line of
its log and in its status, and waits; it ends when it is told to."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from authority import Authority
from consul_door import EVERY_KEY, SecureCluster
from every_daemon import everyone, said
from live_mesh import wait
from required_servers import require_consul, require_etcd
from servers import Etcd, EtcdCluster, free_ports, guard

UNTRUSTED, DENIED = "its certificate is not trusted", "permission denied"
pytestmark = pytest.mark.timeout(600)

Bad = tuple[str, str]
"""URL of a registry, and what is to be said."""


@contextmanager
def etcd_nowhere(folder: Path) -> Iterator[Bad]:
    where = f"127.0.0.1:{free_ports(1)[0]}"
    yield f"etcd://{where}", where


@contextmanager
def consul_nowhere(folder: Path) -> Iterator[Bad]:
    where = f"127.0.0.1:{free_ports(1)[0]}"
    yield f"consul://{where}", where


@contextmanager
def etcd_of_another_authority(folder: Path) -> Iterator[Bad]:
    require_etcd()
    authority, other = Authority(folder / "ca"), Authority(folder / "other")
    files = authority.issue("server")
    etcd = Etcd(folder / "etcd", tls=("--cert-file", files.cert, "--key-file", files.key)).start()
    try:
        yield f"{etcd.url}?ca={other.file}", UNTRUSTED
    finally:
        etcd.kill()


@contextmanager
def consul_of_another_authority(folder: Path) -> Iterator[Bad]:
    require_consul()
    secure = SecureCluster(folder / "consul")
    try:
        settings = secure.settings(secure.token(EVERY_KEY))
        settings["ca"] = str(Authority(folder / "other").file)
        yield f"{secure.cluster.url}?{urlencode(settings)}", UNTRUSTED
    finally:
        secure.cluster.kill()


@contextmanager
def etcd_without_rights(folder: Path) -> Iterator[Bad]:
    require_etcd()
    cluster = EtcdCluster(folder / "etcd").start()
    try:
        guard(cluster.members[0].gateway, lambda name: {"password": name})
        (folder / "password").write_text("artemon")
        yield f"{cluster.url}?user=artemon&password_file={folder / 'password'}", DENIED
    finally:
        cluster.kill()


@contextmanager
def consul_without_rights(folder: Path) -> Iterator[Bad]:
    require_consul()
    secure = SecureCluster(folder / "consul")
    try:
        token = secure.token('key_prefix "other/" { policy = "write" }')
        yield secure.url(token, "token"), DENIED
    finally:
        secure.cluster.kill()


@contextmanager
def etcd_without_quorum(folder: Path) -> Iterator[Bad]:
    require_etcd()
    cluster = EtcdCluster(folder / "etcd").start()
    try:
        for member in cluster.members[1:]:
            member.signal(signal.SIGSTOP)
        yield f"{cluster.url}?timeout=2", "etcd 127.0.0.1:"
    finally:
        cluster.kill()


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(etcd_nowhere, id="etcd-address"),
        pytest.param(etcd_of_another_authority, marks=pytest.mark.etcd, id="etcd-authority"),
        pytest.param(etcd_without_rights, marks=pytest.mark.etcd, id="etcd-rights"),
        pytest.param(etcd_without_quorum, marks=pytest.mark.etcd, id="etcd-quorum"),
        pytest.param(consul_nowhere, id="consul-address"),
        pytest.param(consul_of_another_authority, marks=pytest.mark.consul, id="consul-authority"),
        pytest.param(consul_without_rights, marks=pytest.mark.consul, id="consul-rights"),
    ],
)
def test_every_daemon_says_why_and_waits(bad: Callable[[Path], Iterator[Bad]], tmp_path: Path) -> None:
    with bad(tmp_path) as (url, words):
        daemons = everyone(tmp_path, url)
        try:
            for one in daemons:
                one.start()
            for one in daemons:
                wait(lambda one=one: words in said(one).lower(), f"the log of {one.name}", 240)
                wait(lambda one=one: words in reasons(one.ready()), f"the status of {one.name}", 90)
                assert any(words in line for line in said(one).lower().splitlines() if " warning " in line)
                assert one.ready()["ready"] is (one.name == "mixerd"), "mixerd serves without rules"
                one.stop()
                assert one.process is not None
                assert one.process.returncode == 0, "it was waiting, not failing"
                assert "Traceback" not in said(one)
        finally:
            for one in daemons:
                one.kill()


def reasons(ready: dict[str, dict[str, str]]) -> str:
    """What it waits for, and what is not as it should be."""
    return json.dumps([ready.get("waiting"), ready.get("degraded")]).lower()
