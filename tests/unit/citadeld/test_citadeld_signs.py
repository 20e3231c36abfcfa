"""T33, T39: what somebody else than citadeld writes under trust/ is not taken, named, and put right."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from citadel_rig import Rig
from sealed_rig import BAN, BUNDLE, CART, ROOT, Replica, ban, by_somebody, changed, replica

from artemon.daemon.signers import Forged
from artemon.errors import ArtemonError
from artemon.pki.bundle import Bundle
from artemon.pki.certificate import Authority, Leaf, make_leaf, serial_number
from artemon.pki.csr import make_csr
from artemon.pki.endorsement import endorse_as_authority
from artemon.pki.keys import generate_key
from artemon.pki.signing import SigningKey, sign, split
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId
from artemon.store.api import Store
from artemon.store.open import open_store
from citadeld.seal import KEEP_SECONDS
from citadeld.tokens import Token

TOKEN = ROOT + "trust/tokens/" + "a" * 64
ISSUED = ROOT + "trust/issued/abc"


@asynccontextmanager
async def mended(one: Replica) -> AsyncIterator[None]:
    """While it looks after what lies in the registry."""
    task = asyncio.create_task(one.registry.mending.run())
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(store: Store, key: str, wanted: bytes) -> None:
    """Until the body of a key is this one, signed."""
    async with asyncio.timeout(30):
        while (entry := await store.get(key)) is None or split(entry.value)[:1] != (wanted,):
            await asyncio.sleep(0.01)
        while split((await store.get(key)).value)[1] is None:
            await asyncio.sleep(0.01)


FORGERIES = [
    pytest.param(lambda good, other: split(good)[0], "unsigned", id="unsigned"),
    pytest.param(lambda good, other: changed(good, reason="x", trustDomain="evil"), "wrong", id="changed"),
    pytest.param(lambda good, other: other, "wrong", id="of-another-place"),
    pytest.param(lambda good, other: b"\xff", "unsigned", id="garbage"),
]


@pytest.mark.parametrize(("forge", "reason"), FORGERIES)
@pytest.mark.parametrize("key", [BUNDLE, BAN])
async def test_t33_what_others_write_is_put_right(tmp_path: Path, key: str, forge, reason: str) -> None:
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    await one.store.put(BAN, ban())
    good, other = (await store.get(key)).value, (await store.get(BUNDLE if key == BAN else BAN)).value
    await store.put(key, forge(good, other))
    assert (await one.store.get(key)).value == split(good)[0], "the last good stays"
    assert one.forged(reason) == 1
    assert key in str(one.health.report()["degraded"])
    async with mended(one):
        await store.put(key, forge(good, other))
        await until(store, key, split(good)[0])
        async with asyncio.timeout(30):
            while one.health.report()["degraded"]:
                await asyncio.sleep(0.01)
    assert not one.health.report()["degraded"]
    two = await replica(store, tmp_path / "b", root_of=tmp_path / "a").start()
    assert (await two.store.get(key)) is not None, "others take it again"
    await store.close()


async def test_t33_who_is_unknown_changes_nothing_and_is_left_to_people(tmp_path: Path) -> None:
    """It may be this replica that does not know the root of now: it does not write over it."""
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    await one.store.put(BAN, ban())
    for key in (BUNDLE, BAN):
        evil = by_somebody(split((await store.get(key)).value)[0], key)
        await store.put(key, evil)
        async with mended(one):
            await asyncio.sleep(0.1)
        assert (await store.get(key)).value == evil
    assert one.forged("unknown") == 2
    with pytest.raises(Forged, match="which is not citadeld's"):
        await one.upkeep()
    assert [found.reason for found in await one.revoker.bans()] == ["lost"]
    assert "trust/bundle" in str(one.health.report()["degraded"])
    await store.close()


async def test_t39_what_was_true_once_does_not_come_back(tmp_path: Path) -> None:
    """Not even over a restart: the bundle is remembered on disk."""
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    old = (await store.get(BUNDLE)).value
    await replica(store, tmp_path / "b", root_of=tmp_path / "a").start()
    await one.upkeep()
    both = split((await store.get(BUNDLE)).value)[0]
    assert len(Bundle.decode(both).intermediates) == 2
    await store.put(BUNDLE, old)
    again = await replica(store, tmp_path / "a").start()
    assert again.forged("old") == 1
    assert split((await store.get(BUNDLE)).value)[0] == both
    await store.close()


async def test_t33_a_join_token_that_somebody_wrote_is_none(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    await one.store.put(TOKEN, b'{"id":"t"}')
    assert (await one.store.get(TOKEN)) is not None
    for evil in (b'{"id":"t"}', by_somebody(b'{"id":"t"}', TOKEN), b"{}"):
        await store.put(TOKEN, evil)
        assert await one.store.get(TOKEN) is None
        assert not (await one.store.list(ROOT + "trust/tokens/")).entries
    await store.close()


async def test_t33_facts_are_not_taken_out_of_the_record_of_a_certificate(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    await one.store.put(ISSUED, b'{"identity":"x","attested":{}}')
    value = (await store.get(ISSUED)).value
    assert (await one.store.get(ISSUED)).value == b'{"identity":"x","attested":{}}'
    await store.put(ISSUED, value.replace(b',"attested":{}', b""))
    with pytest.raises(Forged):
        await one.store.get(ISSUED)
    await store.close()


async def test_t33_a_ban_that_is_taken_away_is_put_back(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    two = await replica(store, tmp_path / "b", root_of=tmp_path / "a").start()
    await one.revoker.ban(CART, by="root", reason="lost")
    body = split((await store.get(BAN)).value)[0]
    bundle = split((await store.get(BUNDLE)).value)[0]
    async with mended(one), mended(two):
        await asyncio.gather(one.store.get(BAN), two.store.get(BAN), two.store.get(BUNDLE))
        await store.delete(BAN)
        await store.delete(BUNDLE)
        await until(store, BAN, body)
        await until(store, BUNDLE, bundle)
        await two.revoker.reinstate(CART)
        async with asyncio.timeout(30):
            while one.store.last_good(BAN) is not None:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert await store.get(BAN) is None, "who was reinstated stays so"
        await one.revoker.ban(CART, by="root", reason="again")
        await two.store.get(BAN)
        await store.delete(BAN)
        async with asyncio.timeout(30):
            while await store.get(BAN) is None:
                await asyncio.sleep(0.01)
    await store.close()


async def test_papers_of_another_root_count_for_nothing(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    good = (await store.get(BUNDLE)).value
    await store.delete(BUNDLE)
    evil = await replica(store, tmp_path / "evil").start()
    assert evil.registry.seal.key != one.registry.seal.key
    with pytest.raises(Forged):
        await one.store.get(BUNDLE)
    with pytest.raises(ArtemonError, match="this replica has"):
        await replica(store, tmp_path / "new", root_of=tmp_path / "a").registry.first_bundle()
    assert one.store.last_good(BUNDLE) == good
    await store.close()


async def test_a_leaf_endorses_nothing(tmp_path: Path) -> None:
    """Papers are an authority's: whoever has a certificate of the mesh cannot say what is trusted."""
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    authority = one.registry.rooms.first.load()
    key, now = generate_key(), datetime.now(UTC)
    wish = Leaf(CART, key.public_key(), timedelta(hours=1))
    leaf = make_leaf(wish, authority, serial=serial_number(b"x" * 20), now=now)
    mine = SigningKey.new()
    chain = Authority(leaf, key, (authority.certificate, *authority.issuers))
    papers = endorse_as_authority(mine.public, chain, mesh="default", at=now)
    await store.put(one.registry.layout.writer(mine.id, "0" * 64), papers.encode())
    value = sign(ban("evil"), mine, place=f"default/{BAN.removeprefix(ROOT)}", sequence=10**14)
    await store.put(BAN, value)
    assert await one.revoker.bans() == []
    assert one.forged("unknown") == 1
    await store.close()


async def test_an_upgrade_signs_what_lies_there(tmp_path: Path) -> None:
    """Releases before signatures left values without any; from then on none counts."""
    store = await open_store("memory://")
    await replica(store, tmp_path / "a").start()
    for entry in (await store.list(ROOT + "trust/")).entries:
        if "/writers/" in entry.key:
            await store.delete(entry.key)
        else:
            await store.put(entry.key, split(entry.value)[0])
    await store.put(BAN, ban())
    (tmp_path / "a" / "trust.json").unlink()  # there is a signing key: the first start was cut off
    (tmp_path / "a" / "audit.jsonl").write_bytes(b"")
    one = await replica(store, tmp_path / "a").start()
    assert [found.reason for found in await one.revoker.bans()] == ["lost"]
    for key in (BUNDLE, BAN):
        assert split((await store.get(key)).value)[1].key == one.registry.seal.key
    await store.put(BAN, ban("evil"))
    assert [found.reason for found in await one.revoker.bans()] == ["lost"]
    await store.close()


async def test_a_new_replica_adopts_nothing(tmp_path: Path) -> None:
    store = await open_store("memory://")
    await replica(store, tmp_path / "a").start()
    await store.put(BUNDLE, split((await store.get(BUNDLE)).value)[0])
    with pytest.raises(ArtemonError, match="is not signed by citadeld"):
        await replica(store, tmp_path / "b", root_of=tmp_path / "a").start()
    await store.close()


async def test_the_signing_key_changes_while_others_read(tmp_path: Path) -> None:
    store = await open_store("memory://")
    one = await replica(store, tmp_path / "a").start()
    two = await replica(store, tmp_path / "b", root_of=tmp_path / "a").start()
    await one.store.put(BAN, ban())
    await one.store.put(TOKEN, b'{"id":"t"}')
    old, path = one.registry.seal.key, tmp_path / "a" / "signing.pem"
    os.utime(path, (0, 0))
    await one.upkeep()
    new = one.registry.seal.key
    assert new != old
    assert split((await store.get(BAN)).value)[1].key == new, "what lasts is signed anew"
    assert (await two.store.get(TOKEN)) is not None, "what is brief counts to its end"
    assert [found.reason for found in await two.revoker.bans()] == ["lost"]
    replaced = tmp_path / "a" / "signing.old"
    os.utime(replaced, (0, path.stat().st_mtime - KEEP_SECONDS - 60))
    await one.upkeep()
    papers = [entry.key for entry in (await store.list(one.registry.layout.writers)).entries]
    assert not any(old in key for key in papers)
    assert any(new in key for key in papers)
    await store.close()


async def test_what_a_replica_signed_that_is_gone_is_signed_anew_under_the_new_root(tmp_path: Path) -> None:
    store = await open_store("memory://")
    gone = await replica(store, tmp_path / "a").start()
    await gone.store.put(BAN, ban())
    two = await replica(store, tmp_path / "b", root_of=tmp_path / "a").start()
    rooms = two.registry.rooms
    root = rooms.make()
    room = rooms.every()[1]
    known = Bundle.decode((await two.store.get(BUNDLE)).value)
    both = Bundle("cluster.local", known.sequence + 1, (root, *known.roots), known.intermediates)
    await two.store.put(BUNDLE, both.encode())
    room.load()
    await two.registry.upkeep()
    signature = split((await store.get(BAN)).value)[1]
    assert signature.key == two.registry.seal.key
    alone = Bundle("cluster.local", both.sequence + 1, (root,), known.intermediates)
    await two.store.put(BUNDLE, alone.encode())
    await two.registry.upkeep()
    fresh = replica(store, tmp_path / "c", make=False)
    (tmp_path / "c" / "root-cert.pem").write_bytes((room.directory / "root-cert.pem").read_bytes())
    assert json.loads((await fresh.store.get(BAN)).value)["reason"] == "lost"
    assert (await fresh.registry.first_bundle()).roots == (root,)
    await store.close()


async def test_t33_nobody_joins_by_a_token_that_somebody_wrote(rig: Rig) -> None:
    """Whoever may write the registry could otherwise be any daemon."""
    galleyd = SpiffeId("cluster.local", SYSTEM_NAMESPACE, "galleyd")
    store = await open_store(rig.settings.registry)
    secret, now = "s" * 43, datetime.now(UTC)
    token = Token("t", galleyd.namespace, galleyd.service_account, now, now + timedelta(hours=1), 1)
    key = ROOT + "trust/tokens/" + hashlib.sha256(secret.encode()).hexdigest()
    for value in (token.encode(), by_somebody(token.encode(), key)):
        await store.put(key, value)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.by_token(make_csr(generate_key(), galleyd), secret)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert await rig.by_token(make_csr(generate_key(), galleyd), await rig.token(galleyd))
    await store.close()


async def test_t33_a_running_citadeld_puts_the_bundle_right(rig: Rig) -> None:
    store = await open_store(rig.settings.registry)
    good = (await store.get(BUNDLE)).value
    await store.put(BUNDLE, split(good)[0])
    await until(store, BUNDLE, split(good)[0])
    assert rig.metrics.get_sample_value("citadel_server_registry_forged_total", {"reason": "unsigned"}) == 1
    await store.close()
