"""What citadeld does from time to time: sweeping, new intermediates, new roots."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from citadel_rig import CART, LOG, Rig, bundle, running, settings_in
from cryptography import x509

from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_tls import grpc_channel_credentials
from artemon.errors import ArtemonError
from artemon.pki.bundle import BUNDLE_KEY, Bundle
from artemon.pki.certificate import load_certificates
from artemon.pki.csr import make_csr
from artemon.pki.keys import generate_key
from artemon.pki.signing import SigningKey, sign, split
from artemon.store.open import open_store
from citadeld.app import key_room
from citadeld.authority import KeyRoom, Lifetimes
from citadeld.publish import publish
from citadeld.sweep import sweep
from citadeld.tokens import Tokens

PREFIX = "artemon/default/"
WEEK = timedelta(days=7)


def later(**passed: float) -> datetime:
    return datetime.now(UTC) + timedelta(**passed)


def room(directory: Path, **passed: float) -> KeyRoom:
    """A data directory as it is seen after some time has passed."""
    lifetimes = Lifetimes(root=52 * WEEK, intermediate=WEEK)
    return KeyRoom(directory, "cluster.local", lifetimes, lambda: later(**passed))


async def test_what_is_over_is_swept(rig: Rig, tmp_path: Path) -> None:
    await rig.joined(tmp_path)
    await rig.token(ttl_seconds=60)
    store = await open_store(rig.settings.registry)

    async def left(now: datetime) -> list[str]:
        await sweep(store, PREFIX, Tokens(store, PREFIX, now=lambda: now), now=now)
        entries = (await store.list(f"{PREFIX}trust/")).entries
        kinds = (entry.key.split("/")[3] for entry in entries)
        return sorted(kind for kind in kinds if kind not in {"revoked", "replicas", "writers"})

    try:
        assert await left(later()) == ["bundle", "issued", "issued", "keys", "keys", "tokens"]
        assert await left(later(minutes=2)) == ["bundle", "issued", "issued", "keys", "keys"]
        assert await left(later(hours=3)) == ["bundle", "issued", "keys"]  # citadeld's own lives for a day
        assert await left(later(hours=26)) == ["bundle"]
    finally:
        await store.close()


def test_intermediate_is_made_anew_at_half_life(tmp_path: Path) -> None:
    room(tmp_path / "ca").make_root()
    first = room(tmp_path / "ca").load()
    assert room(tmp_path / "ca", days=3).load().certificate == first.certificate
    second = room(tmp_path / "ca", days=4).load()
    assert second.certificate != first.certificate
    assert second.root == first.root
    assert second.certificate.not_valid_after_utc > first.certificate.not_valid_after_utc


def test_without_the_roots_key_the_intermediate_serves_to_its_end(tmp_path: Path) -> None:
    directory = tmp_path / "ca"
    room(directory).make_root()
    first = room(directory).load()
    (directory / "root-key.pem").unlink()
    assert room(directory, days=6).load().certificate == first.certificate
    with pytest.raises(ArtemonError, match=r"neither a valid ca-cert\.pem"):
        room(directory, days=8).load()


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda ca: (ca / "root-cert.pem").unlink(), "root-cert.pem is missing"),
        (lambda ca: (ca / "root-cert.pem").write_bytes(b"x"), "no readable PEM certificate"),
        (lambda ca: (ca / "ca-key.pem").unlink(), "ca-key.pem is missing"),
        (lambda ca: (ca / "ca-key.pem").write_bytes((ca / "root-key.pem").read_bytes()), "is not the key"),
        (lambda ca: (ca / "ca-key.pem").write_bytes(b"x"), "private key cannot be read"),
    ],
)
def test_files_that_do_not_fit_are_said(tmp_path: Path, break_it: object, reason: str) -> None:
    directory = tmp_path / "ca"
    room(directory).make_root()
    room(directory).load()
    break_it(directory)  # type: ignore[operator]
    with pytest.raises(ArtemonError, match=reason):
        room(directory).load()


async def test_bundle_keeps_what_others_published(tmp_path: Path) -> None:
    """Two replicas with one root publish at the same time; expired intermediates go."""
    rooms = [tmp_path / "a", tmp_path / "b"]
    room(rooms[0]).make_root()
    rooms[1].mkdir(mode=0o700)
    for file in rooms[0].iterdir():
        (rooms[1] / file.name).write_bytes(file.read_bytes())
        (rooms[1] / file.name).chmod(0o600)
    store = await open_store("memory://")
    authorities = [room(directory).load() for directory in rooms]
    try:
        for _ in range(2):  # the second time nothing is missing
            published = [
                publish(store, PREFIX, one, trust_domain="cluster.local", now=later) for one in authorities
            ]
            await asyncio.gather(*published)
        entry = await store.get(PREFIX + BUNDLE_KEY)
        assert entry is not None
        found = Bundle.decode(entry.value)
        assert found.sequence == 2
        assert set(found.intermediates) == {one.certificate for one in authorities}
        newer = room(rooms[0], days=4).load()
        after = await publish(store, PREFIX, newer, trust_domain="cluster.local", now=lambda: later(days=8))
        assert after.intermediates == (newer.certificate,)
    finally:
        await store.close()


async def test_roots_that_come_later_reach_everyone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with running(settings) as rig:
        keeper = await rig.joined(tmp_path)
        first = keeper.current()
    second_root = key_room(settings_in(tmp_path / "second")).make_root()
    store = await open_store(settings.registry)
    try:
        entry = await store.get(PREFIX + BUNDLE_KEY)
        assert entry is not None
        found = Bundle.decode(entry.value)
        both = replace(found, sequence=found.sequence + 1, roots=(*found.roots, second_root))
        key = SigningKey.load((settings.data_dir / "signing.pem").read_bytes())
        after = split(entry.value)[1].sequence + 1
        value = sign(both.encode(), key, place=f"default/{BUNDLE_KEY}", sequence=after)
        await store.put(entry.key, value)
    finally:
        await store.close()
    async with running(settings):
        await keeper._refresh_roots()
        assert load_certificates(keeper.current().roots_pem) == (*found.roots, second_root)
        assert keeper.current().cert_chain_pem == first.cert_chain_pem
        again = IdentityKeeper(rig.options(tmp_path), LOG)
        await again.start()
        assert again.current() == keeper.current()
        credentials = grpc_channel_credentials(again.current())
        assert (await bundle(settings.listen, credentials)).sequence == both.sequence
        chain = await rig.by_certificate(credentials, make_csr(generate_key(), CART))
        assert [x509.load_pem_x509_certificate(chain[-1].encode())] == list(found.roots)
