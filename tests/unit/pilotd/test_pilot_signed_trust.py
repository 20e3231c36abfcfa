"""T33: roots and revocations that citadeld did not write reach no proxy and no daemon; the last good stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pilot_clients import Mesh, mesh, node, until
from prometheus_client import generate_latest
from signed_registry import LOG, Citadel, Realm

from artemon.daemon.trust import TrustFollower
from artemon.pki.bundle import Bundle
from artemon.pki.revocation import Ban
from artemon.pki.signing import SigningKey, sign, split
from artemon.store.api import Store
from artemon.store.layout import Layout
from artemon.store.open import open_store
from artemon.xds.types import SECRET

BUNDLE = "trust/bundle"
BAN = "trust/revoked/identities/shop/cart"
CART = "spiffe://cluster.local/ns/shop/sa/cart"


def roots(realm: Realm, *more: Realm, sequence: int = 1) -> bytes:
    return Bundle("cluster.local", sequence, (realm.root, *(one.root for one in more))).encode()


def banned(reason: str = "lost") -> bytes:
    return Ban(CART, "2026-01-01T00:00:00+00:00", "root", reason).encode()


def by_somebody(body: bytes, key: str) -> bytes:
    return sign(body, SigningKey.new(), place=f"default/{key}", sequence=10**15)


async def problem(running: Mesh, key: str) -> str:
    await until(lambda: key in running.discovery.world.problems)
    return str(running.discovery.world.problems[key][0])


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        pytest.param(lambda good, evil: evil, "is not signed by citadeld", id="unsigned"),
        pytest.param(
            lambda good, evil: evil[:-1] + good[len(split(good)[0]) - 1 :],
            "is not what citadeld signed for this place",
            id="changed",
        ),
        pytest.param(
            lambda good, evil: by_somebody(evil, BUNDLE), "which is not citadeld's", id="another-key"
        ),
        pytest.param(lambda good, evil: b"\xff", "is not signed by citadeld", id="garbage"),
    ],
)
async def test_t33_a_root_of_somebody_else_reaches_no_proxy(
    forge: Callable[[bytes, bytes], bytes], why: str
) -> None:
    store, realm, evil = await open_store("memory://"), Realm(), Realm()
    citadel = Citadel(realm)
    await citadel.publish(store)
    good = citadel.signed(BUNDLE, roots(realm))
    async with mesh(store, trust=citadel.signers()) as running:
        await running.write(BUNDLE, good)
        client = running.connect(node())
        client.ask(SECRET, "ROOTCA")
        await client.until(SECRET, "ROOTCA", realm.roots)
        await running.write(BUNDLE, forge(good, roots(evil)))
        assert why in await problem(running, BUNDLE)
        assert b"pilot_registry_forged_total{" in generate_latest(running.registry)
        _, page = running.discovery.pages.page("/debug/problems")
        assert BUNDLE.encode() in page
        await running.write(BUNDLE, citadel.signed(BUNDLE, roots(realm, Realm(), sequence=2), 2))
        await until(lambda: not running.discovery.world.problems)
        assert evil.roots not in client.held[SECRET]["ROOTCA"]
        assert realm.roots in client.held[SECRET]["ROOTCA"]
    await store.close()


async def test_t33_a_ban_is_neither_made_nor_changed_by_others() -> None:
    store, realm = await open_store("memory://"), Realm()
    citadel = Citadel(realm)
    await citadel.publish(store)
    other = "trust/revoked/identities/shop/other"
    async with mesh(store, trust=citadel.signers()) as running:
        world = running.discovery.world
        await running.write(BAN, citadel.signed(BAN, banned()))
        await until(lambda: BAN in world.trust)
        await running.write(BAN, banned("x").replace(CART.encode(), b"spiffe://cluster.local/ns/a/sa/b"))
        assert "is not signed by citadeld" in await problem(running, BAN)
        assert world.trust[BAN].text == CART, "the last good ban stays"
        await running.write(other, citadel.signed(BAN, banned()))
        assert "is not what citadeld signed for this place" in await problem(running, other)
        assert other not in world.trust
    await store.close()


async def test_t39_an_older_bundle_is_not_taken() -> None:
    store, realm = await open_store("memory://"), Realm()
    citadel = Citadel(realm)
    await citadel.publish(store)
    async with mesh(store, trust=citadel.signers()) as running:
        await running.write(BUNDLE, citadel.signed(BUNDLE, roots(realm, Realm()), 2))
        await until(lambda: BUNDLE in running.discovery.world.trust)
        await running.write(BUNDLE, citadel.signed(BUNDLE, roots(realm), 1))
        assert "is older than what citadeld wrote last" in await problem(running, BUNDLE)
    await store.close()


async def test_papers_that_lead_to_a_new_root_count_when_it_is_trusted() -> None:
    """Another replica's, which has none under the old root."""
    store, old, new = await open_store("memory://"), Realm(), Realm()
    first, second = Citadel(old), Citadel(new)
    signers, known = first.signers(), [old.roots]
    signers._roots = lambda: b"".join(known)
    await first.publish(store)
    await second.publish(store)
    async with mesh(store, trust=signers) as running:
        await running.write(BAN, second.signed(BAN, banned()))
        assert "which is not citadeld's" in await problem(running, BAN)
        known.append(new.roots)
        running.discovery.ingest.roots_changed()
        await until(lambda: not running.discovery.world.problems)
        assert BAN in running.discovery.world.trust
    await store.close()


class Keeper:
    """What TrustFollower needs of an IdentityKeeper."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def adopt_roots(self, pem: bytes) -> None:
        self.taken.append(pem)


@pytest.mark.parametrize("checked", [True, False], ids=["required", "off"])
async def test_t33_daemons_trust_no_root_of_somebody_else(tmp_path: Path, checked: bool) -> None:
    store, realm, evil = await open_store("memory://"), Realm(), Realm()
    citadel, keeper, told = Citadel(realm), Keeper(), list[str]()
    any_keeper: Any = keeper
    follower = TrustFollower(
        store,
        Layout(),
        any_keeper,
        signers=citadel.signers() if checked else None,
        log=LOG,
        forged=told.append,
    )
    task = asyncio.create_task(follower.run())
    await citadel.publish(store)
    await write(store, citadel.signed(BUNDLE, roots(realm)))
    await until(lambda: realm.roots in keeper.taken)
    for value in (roots(evil), by_somebody(roots(evil), BUNDLE)):
        seen = len(told)
        await write(store, value)
        await until(lambda before=seen: len(told) > before)
        assert ("citadeld" in told[-1]) is checked
    if checked:
        await write(store, citadel.signed(BUNDLE, roots(realm, Realm()), 2))
        await until(lambda: len(keeper.taken) > 1)
        assert told[-1] == ""
        assert not any(evil.roots in pem for pem in keeper.taken)
    else:
        await until(lambda: evil.roots in keeper.taken)
    task.cancel()
    await asyncio.wait([task])
    await store.close()


async def write(store: Store, value: bytes) -> None:
    await store.put(f"artemon/default/{BUNDLE}", value)
