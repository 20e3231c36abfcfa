"""T33: what somebody else than galleyd writes into the registry is not taken; the last good stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pilot_clients import Mesh, mesh, node, until
from prometheus_client import generate_latest
from signed_registry import Realm, Still, signed, signer
from test_pilot_streams import SHOP, service_entry

from artemon.pki.signing import SigningKey, sign, split
from artemon.store.open import open_store
from artemon.xds.types import CLUSTER
from galleyd.signer import Signer
from pilotd.discovery import Options

PLACE = "config/serviceentries/books/shop"
GOOD = service_entry("shop", "shop.example.com")
EVIL = service_entry("shop", "evil.example.com")
NEWS = "outbound|80||news.example.com"


def content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


async def problem(running: Mesh, key: str = PLACE) -> str:
    """What is wrong with a key, as soon as anything is."""
    await until(lambda: key in running.discovery.world.problems)
    return str(running.discovery.world.problems[key][0])


async def news(running: Mesh, one: Signer) -> None:
    """Wait until a later, good write has arrived."""
    key = "config/serviceentries/books/news"
    await running.write(key, signed(one, key, service_entry("news", "news.example.com")))


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        pytest.param(lambda good, one: EVIL, "is not signed by galleyd", id="unsigned"),
        pytest.param(
            lambda good, one: signed(one, "config/serviceentries/books/news", EVIL),
            "is not what galleyd signed for this place",
            id="moved",
        ),
        pytest.param(
            lambda good, one: good.replace(b"shop.example.com", b"evil.example.com"),
            "is not what galleyd signed for this place",
            id="changed",
        ),
        pytest.param(
            lambda good, one: sign(
                split(good)[0], SigningKey.new(), place=f"default/{PLACE}", sequence=10**15
            ),
            "which is not galleyd's",
            id="another-key",
        ),
        pytest.param(lambda good, one: b"\xff", "is not signed by galleyd", id="garbage"),
    ],
)
async def test_t33_a_forged_value_is_not_taken(tmp_path: Path, forge, why: str) -> None:
    store, realm = await open_store("memory://"), Realm()
    one = signer(store, tmp_path / "galleyd", realm)
    await one._publish()
    async with mesh(store, signers=realm.signers()) as running:
        good = signed(one, PLACE, GOOD)
        await running.write(PLACE, good)
        client = running.connect(node())
        await client.until(CLUSTER, SHOP)
        await running.write(PLACE, forge(good, one))
        assert why in await problem(running)
        await news(running, one)
        await client.until(CLUSTER, NEWS)
        assert SHOP in client.held[CLUSTER], "the last good stays"
        assert not any("evil" in name for name in client.held[CLUSTER])
        assert b"pilot_registry_forged_total{" in generate_latest(running.registry)
        _, page = running.discovery.pages.page("/debug/problems")
        assert PLACE.encode() in page
        await running.write(PLACE, signed(one, PLACE, {**GOOD, "spec": EVIL["spec"]}))
        await client.until(CLUSTER, "outbound|80||evil.example.com")
    await store.close()


async def test_t39_an_older_value_is_not_taken(tmp_path: Path) -> None:
    store, realm = await open_store("memory://"), Realm()
    one = signer(store, tmp_path / "galleyd", realm)
    await one._publish()
    old = signed(one, PLACE, EVIL)
    options = Options(pilot="a", data_dir=tmp_path / "pilotd")
    (tmp_path / "pilotd").mkdir()
    async with mesh(store, options=options, signers=realm.signers()) as running:
        client = running.connect(node())
        await running.write(PLACE, signed(one, PLACE, GOOD))
        await client.until(CLUSTER, SHOP)
        await running.write(PLACE, old)
        assert "is older than what galleyd wrote last" in await problem(running)
        await running.store.delete(f"artemon/default/{PLACE}")
        await running.write(PLACE, old)
        assert "is older than what galleyd wrote last" in await problem(running)
        assert "outbound|80||evil.example.com" not in client.held[CLUSTER]
    await store.close()


async def test_what_was_known_before_a_restart_is_not_undone(tmp_path: Path) -> None:
    """T39, while pilotd is down."""
    store, realm = await open_store("memory://"), Realm()
    one = signer(store, tmp_path / "galleyd", realm)
    await one._publish()
    old, new = signed(one, PLACE, EVIL), signed(one, PLACE, GOOD)
    (tmp_path / "pilotd").mkdir()
    options = Options(pilot="a", data_dir=tmp_path / "pilotd")
    await store.put(f"artemon/default/{PLACE}", new)
    async with mesh(store, options=options, signers=realm.signers()) as running:
        await until(lambda: PLACE in running.discovery.world._objects)
        await until(lambda: b"serviceentries" in content(tmp_path / "pilotd" / "config.snapshot"))
        await until(lambda: one.key.encode() in content(tmp_path / "pilotd" / "signers.snapshot"))
    await store.put(f"artemon/default/{PLACE}", old)
    async with mesh(store, options=options, signers=realm.signers()) as running:
        assert "is older than what galleyd wrote last" in await problem(running)
    await store.close()


async def test_papers_may_come_after_what_they_are_for(tmp_path: Path) -> None:
    store, realm = await open_store("memory://"), Realm()
    one = signer(store, tmp_path / "galleyd", realm)
    async with mesh(store, signers=realm.signers()) as running:
        client = running.connect(node())
        await running.write(PLACE, signed(one, PLACE, GOOD))
        assert "which is not galleyd's" in await problem(running)
        await one._publish()
        await client.until(CLUSTER, SHOP)
        await until(lambda: not running.discovery.world.problems)
    await store.close()


@pytest.mark.parametrize(
    ("account", "foreign"),
    [
        pytest.param("pilotd", False, id="another-daemon"),
        pytest.param("galleyd", True, id="another-root"),
    ],
)
async def test_t33_nobody_else_endorses_a_key(tmp_path: Path, account: str, foreign: bool) -> None:
    store, realm = await open_store("memory://"), Realm()
    identity = (Realm() if foreign else realm).identity(account)
    one = signer(store, tmp_path / "galleyd", realm, identity)
    await one._publish()
    async with mesh(store, signers=realm.signers()) as running:
        await running.write(PLACE, signed(one, PLACE, EVIL))
        assert "which is not galleyd's" in await problem(running)
    await store.close()


async def test_t33_mesh_config_is_signed_too(tmp_path: Path) -> None:
    store, realm = await open_store("memory://"), Realm()
    one = signer(store, tmp_path / "galleyd", realm)
    await one._publish()
    async with mesh(store, signers=realm.signers()) as running:
        await running.write("mesh", {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}})
        assert "is not signed by galleyd" in await problem(running, "mesh")
        await running.write("mesh", signed(one, "mesh", {}))
        await until(lambda: not running.discovery.world.problems)
    await store.close()


async def test_papers_outlive_the_certificate_that_endorsed_them(tmp_path: Path) -> None:
    """galleyd may be away for long; a pilotd that starts meanwhile still knows its configuration."""
    store, realm = await open_store("memory://"), Realm(datetime.now(UTC) - timedelta(days=5))
    one = signer(store, tmp_path / "galleyd", realm)
    one._now = (realm.at + timedelta(minutes=1)).timestamp
    await one._publish()
    await store.put(f"artemon/default/{PLACE}", signed(one, PLACE, GOOD))
    async with mesh(store, signers=realm.signers()) as running:
        client = running.connect(node())
        await client.until(CLUSTER, SHOP)
    late = signer(store, tmp_path / "late", realm)
    await late._publish()
    async with mesh(store, signers=realm.signers()) as running:
        await running.write(PLACE, signed(late, PLACE, EVIL))
        assert "which is not galleyd's" in await problem(running), "endorsed with a certificate that was over"
    await store.close()


async def test_the_key_is_changed_and_nothing_is_pushed(tmp_path: Path) -> None:
    store, realm = await open_store("memory://"), Realm()
    one = signer(store, tmp_path / "galleyd", realm)
    await one._publish()
    async with mesh(store, signers=realm.signers()) as running:
        client = running.connect(node())
        for number in range(3):
            place = f"config/serviceentries/books/s{number}"
            await running.write(
                place, signed(one, place, service_entry(f"s{number}", f"s{number}.example.com"))
            )
        await client.until(CLUSTER, "outbound|80||s2.example.com")
        taken, old = len(client.taken), one.key
        one.rotate()
        await one._publish()
        assert one._old is not None
        await one._retire(one._old)
        await one._retire(one._old)
        assert one._old is None
        entries = (await store.list("artemon/default/config/")).entries
        assert {found.key for entry in entries if (found := split(entry.value)[1])} == {one.key} != {old}
        assert [one.key] == [
            entry.key.rpartition("/")[2]
            for entry in (await store.list("artemon/default/trust/signers/")).entries
        ]
        await news(running, one)
        await client.until(CLUSTER, NEWS)
        assert not running.discovery.world.problems
        assert len(client.taken) <= taken + 2, "only the news was sent"
    again = signer(store, tmp_path / "galleyd", realm)
    assert again.key == one.key
    await store.close()


def test_another_replicas_clock_is_followed(tmp_path: Path) -> None:
    realm = Realm()
    store = None
    ahead, behind = (signer(store, tmp_path / name, realm) for name in ("a", "b"))  # type: ignore[arg-type]
    ahead._now = lambda: 2_000_000.0
    behind._now = lambda: 1_999_000.0
    behind._signers.pin(ahead._key.public)
    value = signed(ahead, PLACE, GOOD)
    behind.seen(value)
    first, second = split(value)[1], split(signed(behind, PLACE, GOOD))[1]
    assert first is not None
    assert second is not None
    assert second.sequence > first.sequence
    assert isinstance(behind._keeper, Still)
