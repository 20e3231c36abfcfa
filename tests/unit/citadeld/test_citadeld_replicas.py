"""Two citadelds under one root of which one has the key: intermediates are granted, the root rotates for
both."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from citadel_rig import CART, Rig, running, settings_in

from artemon.api.v1 import rotation_pb2
from artemon.daemon.identity_files import make_identity
from artemon.pki.bundle import Bundle
from artemon.pki.certificate import (
    Authority,
    Leaf,
    chain_pem,
    fingerprint,
    load_certificates,
    make_intermediate,
    make_leaf,
    make_root,
)
from artemon.pki.csr import make_csr
from artemon.pki.errors import CertificateRefused
from artemon.pki.held import KeySigning, held
from artemon.pki.keys import KeyType, generate_key, private_pem
from artemon.pki.request import IntermediateRequest, ask, judge
from citadeld.app import key_room
from citadeld.keyfiles import new_serial
from citadeld.own import is_half_over

DAY = timedelta(days=1)
ROTATION = "/artemon.v1.Rotation"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def standing(rig: Rig) -> rotation_pb2.RotationStatus:
    found: rotation_pb2.RotationStatus = await rig.by_socket(
        f"{ROTATION}/Status", rotation_pb2.RotationStatusRequest(), rotation_pb2.RotationStatus
    )
    return found


async def rotate(*rigs: Rig) -> None:
    """By whichever leads."""
    async with asyncio.timeout(60):
        while True:
            for rig in rigs:
                try:
                    await rig.by_socket(
                        f"{ROTATION}/Rotate", rotation_pb2.RotateRequest(), rotation_pb2.RotationStatus
                    )
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                else:
                    return
            await asyncio.sleep(0.2)


async def until_idle(rig: Rig, before: str) -> rotation_pb2.RotationStatus:
    async with asyncio.timeout(120):
        while True:
            found = await standing(rig)
            if found.phase == "idle" and found.roots[0] != before:
                return found
            await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_a_rotation_takes_replicas_along_that_have_no_key_of_the_root(tmp_path: Path) -> None:
    """One that has the key of neither root gets an intermediate under the next, for a key of its own."""
    registry = tmp_path / "registry.db"
    settings = [
        settings_in(tmp_path / name, registry=registry, rotation_dwell_seconds=0) for name in ("one", "two")
    ]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with running(settings[0]) as first:
        shutil.copytree(tmp_path / "one" / "ca", tmp_path / "two" / "ca")
        for left in ("ca-cert.pem", "ca-key.pem", "audit.jsonl", "audit.jsonl.head"):
            (tmp_path / "two" / "ca" / left).unlink(missing_ok=True)
        key_room(settings[1]).load()
        (tmp_path / "two" / "ca" / "root-key.pem").unlink()
        async with running(settings[1]) as second:
            for _ in range(2):
                before = (await standing(first)).roots[0]
                await rotate(first, second)
                found = await until_idle(first, before)
                assert list(found.roots) == [found.roots[0]]
            chains = [
                await rig.by_token(make_csr(generate_key(), CART), await rig.token(), root=newest(tmp_path))
                for rig in (first, second)
            ]
    inner = [load_certificates(chain[1].encode())[0] for chain in chains]
    ends = {fingerprint(load_certificates(chain[-1].encode())[0]) for chain in chains}
    assert ends == {found.roots[0]}
    assert inner[0].public_key() != inner[1].public_key(), "each replica has a key of its own"
    holders = [path for path in tmp_path.rglob("root-key.pem") if path.parent.name == found.roots[0][:16]]
    assert len(holders) == 1, "the key of a root stays where it was made"


def newest(folder: Path) -> Path:
    """The roots that there are, in one file."""
    path = folder / "roots.pem"
    path.write_bytes(b"".join(one.read_bytes() for one in folder.rglob("root-cert.pem")))
    return path


def authority(kind: KeyType = "p256", *, of: Authority | None = None) -> Authority:
    key = held(KeySigning(generate_key(kind)))
    if of is None:
        return Authority(
            make_root(key, "cluster.local", serial=new_serial(), now=now(), lifetime=365 * DAY), key
        )
    made = make_intermediate(
        key.public_key(), of, "cluster.local", serial=new_serial(), now=now(), lifetime=30 * DAY
    )
    return Authority(made, key, (of.certificate,))


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_who_vouches_may_have_any_key(kind: KeyType) -> None:
    root = authority(kind)
    key = generate_key()
    request = IntermediateRequest.decode(ask(key, "r", authority(kind, of=root)).encode())
    assert judge(request, [root.certificate], now=now()) == key.public_key()


ROOT = authority()
BY = authority(of=ROOT)
GOOD = ask(generate_key(), "r", BY)
OTHER = authority()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(lambda one: replace(one, root="s"), "signature is wrong", id="another-root"),
        pytest.param(
            lambda one: replace(one, csr=ask(generate_key(), "r", BY).csr),
            "signature is wrong",
            id="another-key",
        ),
        pytest.param(
            lambda one: ask(generate_key(), "r", authority(of=OTHER)),
            "not lead to a trusted root",
            id="stranger",
        ),
        pytest.param(
            lambda one: replace(ask(generate_key(), "r", OTHER), chain=one.chain),
            "signature",
            id="stolen-chain",
        ),
        pytest.param(lambda one: replace(one, csr=b"x"), "signature is wrong", id="no-csr"),
        pytest.param(lambda one: replace(one, chain=b"x"), "no readable PEM", id="no-chain"),
    ],
)
def test_t33_nobody_gets_an_intermediate_by_writing_into_the_registry(
    spoil: Callable[[Any], IntermediateRequest], why: str
) -> None:
    assert judge(GOOD, [ROOT.certificate], now=now())
    with pytest.raises(CertificateRefused, match=why):
        judge(spoil(GOOD), [ROOT.certificate], now=now())


def test_who_vouches_is_valid_and_an_authority() -> None:
    with pytest.raises(CertificateRefused, match="expired"):
        judge(GOOD, [ROOT.certificate], now=now() + 31 * DAY)
    with pytest.raises(CertificateRefused, match="not lead to a trusted root"):
        judge(GOOD, [OTHER.certificate], now=now())
    key = generate_key()
    leaf = make_leaf(Leaf(CART, key.public_key(), DAY), BY, serial=new_serial(), now=now())
    request = ask(generate_key(), "r", Authority(leaf, key, (BY.certificate, ROOT.certificate)))
    with pytest.raises(CertificateRefused, match="no authority"):
        judge(request, [ROOT.certificate], now=now())


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b'{"csr":1}', b'{"root":"r","csr":"a","chain":"b"}'])
def test_what_is_no_request_is_refused(value: bytes) -> None:
    with pytest.raises(CertificateRefused):
        IntermediateRequest.decode(value)


def test_ones_own_certificate_of_another_intermediate_is_replaced() -> None:
    """The bundle may have changed while one was made: it knows the roots of now and is of the one before."""
    one, other = authority(of=ROOT), authority(of=ROOT)
    key, bundle = generate_key(), Bundle("cluster.local", 1, (ROOT.certificate,), ())
    leaf = make_leaf(Leaf(CART, key.public_key(), DAY), one, serial=new_serial(), now=now())
    chain = chain_pem([leaf, one.certificate])
    own = make_identity(
        CART, chain_pem=chain, key_pem=private_pem(key), roots_pem=bundle.roots_pem, now=now()
    )
    assert not is_half_over(own, bundle, one)
    assert is_half_over(own, bundle, other)


def test_what_was_not_asked_for_is_not_adopted(tmp_path: Path) -> None:
    room = key_room(settings_in(tmp_path)).beside(tmp_path / "waits")
    request = room.ask("x", BY)
    stranger = [authority(of=ROOT).certificate, ROOT.certificate]
    with pytest.raises(Exception, match="is not the key of its certificate"):
        room.adopt(stranger, fingerprint(ROOT.certificate))
    assert room.ask("x", BY).csr.count(b"BEGIN") == 1
    key = judge(request, [ROOT.certificate], now=now())
    granted = [room.sign_intermediate(key, ROOT), ROOT.certificate]
    with pytest.raises(CertificateRefused, match="not the one that was asked for"):
        room.adopt(granted, fingerprint(OTHER.certificate))
    room.adopt(granted, fingerprint(ROOT.certificate))
    assert room.load().certificate == granted[0]
    assert (room.directory / "root-cert.pem").read_bytes() == chain_pem([ROOT.certificate])
