"""What is wrong with a registry is said in one line by the door that every daemon goes through, whatever the
backend is, and nothing there is changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from authority import Authority
from conftest import Open
from consul_door import EVERY_KEY, SecureCluster
from servers import Etcd, free_ports

from artemon.daemon.registry import open_registry
from artemon.errors import StoreError, Unavailable
from artemon.store.api import Store
from artemon.store.layout import Layout
from artemon.store.schema import NewerSchema, stamp
from artemon.store.whole import Whole

NEWER = b'{"version": 99, "reads": 99}'
EVERYWHERE = pytest.mark.parametrize(
    "backend",
    [
        "sqlite",
        pytest.param("etcd", marks=pytest.mark.etcd),
        pytest.param("consul", marks=pytest.mark.consul),
    ],
    indirect=True,
)


@pytest.fixture
async def mesh(store: Store, prefix: str) -> AsyncIterator[Layout]:
    """A mesh of the test's own, gone at its end."""
    layout = Layout(prefix.strip("/"))
    yield layout
    for entry in (await store.list(layout.root)).entries:
        await store.delete(entry.key)


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 500
    return text


@EVERYWHERE
@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        pytest.param(NEWER, NewerSchema, "schema 99 or newer; this one has", id="newer"),
        pytest.param(b"\xff\x00", StoreError, "is this another program's registry?", id="no-json"),
        pytest.param(b"[]", StoreError, "is this another program's registry?", id="no-schema"),
        pytest.param(b"", StoreError, "is this another program's registry?", id="empty"),
    ],
)
async def test_a_schema_of_others_keeps_the_door_shut(
    url: str, store: Store, mesh: Layout, value: bytes, kind: type[StoreError], words: str
) -> None:
    await store.put(mesh.schema, value)
    before = (await store.list(mesh.root)).entries
    with pytest.raises(kind) as refused:
        await open_registry(url, mesh.mesh_name)
    assert words in one_line(refused.value)
    assert mesh.schema in str(refused.value)
    with pytest.raises(kind):
        await stamp(store, mesh.root)
    assert (await store.list(mesh.root)).entries == before


@EVERYWHERE
async def test_keys_of_others_are_left_and_the_rest_is_read(
    url: str, store: Store, other: Store, mesh: Layout
) -> None:
    foreign = {
        mesh.config("colours", "shop", "red"): b"\xff not ours",
        f"{mesh.configs}loose": b"",
        f"{mesh.staged}someone/else": b"\x00",
        mesh.switch: b"\xff not a switch",
    }
    mine = mesh.config("gateways", "shop", "mine")
    for key, value in {**foreign, mine: b"{}"}.items():
        await store.put(key, value)
    before = (await store.list(mesh.root)).entries
    whole = Whole(other, mesh)
    assert (await whole.get(mine)).value == b"{}"
    found = {entry.key for entry in (await whole.list(mesh.configs)).entries}
    assert found == {key for key in foreign if not key.startswith(mesh.staged)} | {mine}
    assert (await store.list(mesh.root)).entries == before


@pytest.mark.parametrize("scheme", ["etcd", "consul"])
async def test_a_wrong_address_is_waited_for_and_named(scheme: str, opened: Open) -> None:
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    store = await open_registry(f"{scheme}://{nowhere}?timeout=1", "default")
    try:
        with pytest.raises(Unavailable) as refused:
            await store.list("artemon/")
        assert nowhere in one_line(refused.value)
    finally:
        await store.close()


@pytest.mark.etcd
async def test_an_etcd_of_another_authority_is_named(tmp_path: Path) -> None:
    authority, another = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    files = authority.issue("server")
    server = await asyncio.to_thread(
        Etcd(tmp_path / "etcd", tls=("--cert-file", files.cert, "--key-file", files.key)).start
    )
    try:
        await _named(f"{server.url}?ca={another.file}&timeout=2", f"127.0.0.1:{server.port}")
    finally:
        server.kill()


@pytest.mark.consul
async def test_a_consul_of_another_authority_is_named(secure_consul: SecureCluster, tmp_path: Path) -> None:
    settings = secure_consul.settings(secure_consul.token(EVERY_KEY), "token-another")
    settings["ca"] = str(Authority(tmp_path / "other").file)
    cluster = secure_consul.cluster
    await _named(f"{cluster.url}?{urlencode(settings)}&timeout=2", cluster.servers[0].target)


async def _named(url: str, target: str) -> None:
    """It is opened all the same, and says at every call what is wrong, and with whom."""
    store = await open_registry(url, "default")
    try:
        with pytest.raises(StoreError, match="its certificate is not trusted") as refused:
            await store.list("artemon/")
        assert "127.0.0.1:" in one_line(refused.value), target
    finally:
        await store.close()
