"""Evidence alone: what attestors take, what they make of it, and what they refuse (T13)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from attest_rig import ISSUER, Issuer, Pair, made, revocations
from citadel_rig import LOG
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from artemon.errors import ArtemonError
from artemon.pki.certificate import chain_pem
from citadeld.attestors.api import Attested, Evidence, Surroundings
from citadeld.attestors.jwt import facts_of
from citadeld.attestors.open import open_attestor, open_attestors
from citadeld.decision import Denied

ROOT = made("machines", ca=True)
INNER = made("machines, inner", ROOT, ca=True)
OTHER = made("others", ca=True)


def around() -> Surroundings:
    nobody: Any = None
    return Surroundings("cluster.local", nobody, lambda: datetime.now(UTC), LOG)


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "jwks")


async def judged(url: str, evidence: Evidence) -> Attested:
    one = open_attestor(url, around()).attestor
    assert one.takes(evidence)
    return await one.attest(evidence)


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_claims_are_facts(issuer: Issuer) -> None:
    pod = {"namespace": "shop", "serviceaccount": {"name": "cart", "uid": "1-2"}}
    token = issuer.token(**{"kubernetes.io": pod}, groups=["a", "b", ""], n=7, ok=True, null=None)
    found = await judged(issuer.url, Evidence("token", bearer=token))
    assert found.identity is None
    assert found.facts["claims[sub]"] == ("ci",)
    assert found.facts["claims[kubernetes.io][serviceaccount][name]"] == ("cart",)
    assert found.facts["claims[groups]"] == ("a", "b")
    assert (found.facts["claims[n]"], found.facts["claims[ok]"]) == (("7",), ("true",))


def test_no_claim_can_be_read_as_another() -> None:
    found = facts_of(
        {"a][b": "x", "a": {"b": {"c": {"d": {"e": "deep"}}}}, "t\n": "x", "v": "a\x00b", "": "x"}
    )
    assert found == {}


def public(issuer: Issuer) -> bytes:
    return issuer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


BAD: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "expired": (lambda one: one.token(exp=time.time() - 60), "expired"),
    "endless": (lambda one: one.token(exp=None), "exp"),
    "early": (lambda one: one.token(nbf=time.time() + 600), "not valid yet"),
    "audience": (lambda one: one.token(aud="https://kubernetes.default.svc"), "another audience"),
    "no-audience": (lambda one: one.token(aud=None), "another audience"),
    "no-subject": (lambda one: one.token(sub=""), "no subject"),
    "other-key": (lambda one: one.token(ec.generate_private_key(ec.SECP256R1())), "signature"),
    "alg-none": (
        lambda one: f"{part({'alg': 'none', 'kid': 'a'})}.{part({'iss': ISSUER, 'sub': 'x'})}.",
        "not signed with a key",
    ),
    "hs256-with-the-public-key": (
        lambda one: (
            f"{part({'alg': 'HS256', 'kid': 'a'})}.{part({'iss': ISSUER, 'aud': 'artemon', 'sub': 'x'})}.AAAA"
        ),
        "not signed with a key",
    ),
    "kid-of-nobody": (
        lambda one: f"{part({'alg': 'ES256', 'kid': '../../x'})}.{one.token().split('.', 1)[1]}",
        "not signed with a key",
    ),
    "changed": (
        lambda one: ".".join((one.token().split(".")[0], part({"iss": ISSUER}), one.token().split(".")[2])),
        "signature",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_t13_bad_tokens_attest_nothing(issuer: Issuer, name: str) -> None:
    make, why = BAD[name]
    with pytest.raises(Denied, match=why) as caught:
        await judged(issuer.url, Evidence("token", bearer=make(issuer)))
    assert str(caught.value).isprintable()


async def test_a_real_confusion_of_keys_attests_nothing(issuer: Issuer) -> None:
    """An HMAC over the token with the issuer's public key, which everybody knows, as its secret."""
    claims = {"iss": ISSUER, "aud": "artemon", "sub": "x", "exp": 9e9}
    head = f"{part({'alg': 'HS256', 'kid': 'a'})}.{part(claims)}"
    mac = hmac.new(public(issuer), head.encode(), hashlib.sha256).digest()
    token = f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    with pytest.raises(Denied, match="not signed with a key"):
        await judged(issuer.url, Evidence("token", bearer=token))


@pytest.mark.parametrize("bearer", ["", "abc", "a.b.c", "x" * 20000, "..", "é.é.é"])
def test_what_is_no_token_of_the_issuer_is_not_its_to_judge(issuer: Issuer, bearer: str) -> None:
    one = open_attestor(issuer.url, around()).attestor
    assert not one.takes(Evidence("token", bearer=bearer))
    assert not one.takes(Evidence("token", bearer=issuer.token(iss="https://evil.example")))


@pytest.mark.parametrize(
    "place", ["https://127.0.0.1:2379/v3", "https://169.254.169.254/keys", "https://[::1]/k"]
)
async def test_t15_keys_are_not_fetched_from_where_nobody_may_be_sent(issuer: Issuer, place: str) -> None:
    url = f"jwt+{ISSUER}?audience=artemon&keys={place}"
    with pytest.raises(Denied, match="not known at the moment"):
        await judged(url, Evidence("token", bearer=issuer.token()))


@pytest.fixture
def machines(tmp_path: Path) -> str:
    (tmp_path / "machines.pem").write_bytes(ROOT.pem)
    return f"x509:{tmp_path / 'machines.pem'}"


def shown(*chain: Pair) -> Evidence:
    return Evidence("machine", chain=chain_pem([one.certificate for one in chain]))


async def test_a_certificate_is_facts(machines: str) -> None:
    names = (
        x509.DNSName("cart-1.example.com"),
        x509.IPAddress(ip_address("192.0.2.1")),
        x509.UniformResourceIdentifier("urn:machine:7"),
    )
    found = await judged(machines, shown(made("cart-1", INNER, names=names), INNER))
    assert found.identity is None
    assert found.facts["subject"] == ("CN=cart-1,O=Shop",)
    assert (found.facts["subject.CN"], found.facts["subject.O"]) == (("cart-1",), ("Shop",))
    assert found.facts["san.dns"] == ("cart-1.example.com",)
    assert (found.facts["san.ip"], found.facts["san.uri"]) == (("192.0.2.1",), ("urn:machine:7",))
    assert len(found.facts["fingerprint"][0]) == 64


LEAF = made("cart-1", ROOT)
ODD: dict[str, tuple[tuple[Pair, ...], str]] = {
    "expired": ((made("cart-1", ROOT, age=timedelta(days=1, seconds=5)),), "expired"),
    "not-yet": ((made("cart-1", ROOT, age=-timedelta(hours=1)),), "not valid yet"),
    "namesake-of-the-root": ((made("machines", made("machines", ca=True)),), "not signed by the next"),
    "signed-by-a-leaf": ((made("x", LEAF), LEAF), "not an authority"),
    "a-link-is-missing": ((made("cart-1", INNER), ROOT), "not signed by the next"),
    "an-authority": ((INNER,), "is an authority"),
    "the-root-itself": ((ROOT,), "does not lead to a root"),
    "for-servers": ((made("cart-1", ROOT, usage=ExtendedKeyUsageOID.SERVER_AUTH),), "not for TLS clients"),
    "our-trust-domain": (
        (
            made(
                "cart-1",
                ROOT,
                names=(x509.UniformResourceIdentifier("spiffe://cluster.local/ns/shop/sa/cart"),),
            ),
        ),
        "only citadeld gives those",
    ),
    "nul-in-a-name": (
        (made("cart-1", ROOT, names=(x509.DNSName("cart-1\x00.evil"),)),),
        "control characters",
    ),
    "escape-in-the-subject": ((made("cart\x1b[2J", ROOT),), "control characters"),
}


@pytest.mark.parametrize("name", ODD)
async def test_odd_certificates_attest_nothing(machines: str, name: str) -> None:
    chain, why = ODD[name]
    with pytest.raises(Denied, match=why):
        await judged(machines, shown(*chain))


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param((made("cart-1"),), id="self-signed"),
        pytest.param((made("a", OTHER), OTHER), id="other-ca"),
    ],
)
def test_certificates_of_others_are_not_its_to_judge(machines: str, chain: tuple[Pair, ...]) -> None:
    assert not open_attestor(machines, around()).attestor.takes(shown(*chain))


async def test_a_revoked_machine_attests_nothing(machines: str, tmp_path: Path) -> None:
    good, bad = made("good", INNER), made("bad", INNER)
    lists = tmp_path / "lists.pem"
    lists.write_bytes(revocations(ROOT) + revocations(INNER, bad.certificate.serial_number))
    url = f"{machines}?crl={lists}"
    await judged(url, shown(good, INNER))
    with pytest.raises(Denied, match="is revoked"):
        await judged(url, shown(bad, INNER))
    lists.write_bytes(revocations(INNER))
    with pytest.raises(Denied, match="no current revocation list"):
        await judged(url, shown(good, INNER))
    lists.write_bytes(revocations(ROOT, INNER.certificate.serial_number) + revocations(INNER))
    with pytest.raises(Denied, match="is revoked"):
        await judged(url, shown(good, INNER))
    forged = revocations(Pair(INNER.certificate, OTHER.key))
    lists.write_bytes(revocations(ROOT) + forged)
    with pytest.raises(Denied, match="no current revocation list"):
        await judged(url, shown(good, INNER))


@pytest.mark.parametrize(
    ("urls", "why"),
    [
        pytest.param(
            ("vault:x",), "use one of certificate:, jwt:, kubernetes:, token:, unix:, x509:", id="scheme"
        ),
        pytest.param(("jwt+https://i.example",), "audience: Field required", id="audience"),
        pytest.param(("jwt+https://i.example?audience=,",), "audience: must not be empty", id="no-audience"),
        pytest.param(("jwt+http://i.example?audience=a",), "must be jwt.https://ISSUER", id="http"),
        pytest.param(("token:?colour=red",), "is not a setting of this attestor", id="setting"),
        pytest.param(("token:", "token:"), "two are called token", id="twice"),
        pytest.param(("x509:/nowhere.pem",), "cannot be read", id="file"),
    ],
)
def test_wrong_attestors_stop_the_start(urls: tuple[str, ...], why: str) -> None:
    with pytest.raises(ArtemonError, match=why):
        open_attestors(urls, around())
