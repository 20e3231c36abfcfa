"""What is signed, what is accepted, and what OpenSSL thinks of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from key_usages import key_usage
from pki_realm import NOW, Realm, make_realm

from artemon.pki.bundle import Bundle
from artemon.pki.certificate import Authority, Leaf, chain_pem, make_leaf, serial_number, validity_of
from artemon.pki.errors import CertificateRefused
from artemon.pki.keys import PrivateKey, generate_key
from artemon.pki.renewal import BACK_DATE, Validity, renewal_time
from artemon.pki.spiffe import SpiffeId
from artemon.pki.verify import check_issued, check_leaf, verify_chain

HOUR = timedelta(hours=1)
Uri = x509.UniformResourceIdentifier
BOTH = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def openssl(directory: Path, root: x509.Certificate, *chain: x509.Certificate, purpose: str) -> str:
    (directory / "root.pem").write_bytes(chain_pem([root]))
    (directory / "rest.pem").write_bytes(chain_pem(chain[1:] or chain))
    (directory / "leaf.pem").write_bytes(chain_pem(chain[:1]))
    files = ["-CAfile", "root.pem", "-untrusted", "rest.pem", "leaf.pem"]
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, *files]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_openssl_accepts_the_chain(realm: Realm, tmp_path: Path, purpose: str, kind: str) -> None:
    leaf = realm.leaf(generate_key(kind), names=("citadeld.artemon-system.svc", "127.0.0.1", "::1"))
    answer = openssl(tmp_path, realm.root.certificate, leaf, realm.authority.certificate, purpose=purpose)
    assert answer == "leaf.pem: OK"


def test_openssl_refuses_a_foreign_trust_domain(realm: Realm, key: PrivateKey, tmp_path: Path) -> None:
    stranger = Leaf(SpiffeId("elsewhere.example", "shop", "cart"), key.public_key(), HOUR)
    leaf = make_leaf(stranger, realm.authority, serial=7, now=realm.now)
    answer = openssl(tmp_path, realm.root.certificate, leaf, realm.authority.certificate, purpose="sslclient")
    assert "permitted subtree violation" in answer


def test_leaf_has_the_profile(realm: Realm, key: PrivateKey) -> None:
    leaf = realm.leaf(key)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert check_leaf(leaf) == SpiffeId("cluster.local", "shop", "cart")
    assert (names.critical, list(leaf.subject), len(names.value)) == (True, [], 1)
    assert leaf.not_valid_before_utc == realm.now - BACK_DATE
    assert leaf.not_valid_after_utc == realm.now + HOUR


def test_lifetime_is_capped(realm: Realm, short_realm: Realm, key: PrivateKey) -> None:
    assert realm.leaf(key, hours=1000).not_valid_after_utc == realm.now + 24 * HOUR
    issuer = short_realm.authority.certificate
    assert issuer.not_valid_after_utc == short_realm.root.certificate.not_valid_after_utc
    assert short_realm.leaf(key).not_valid_after_utc == issuer.not_valid_after_utc


def test_expired_issuer_signs_nothing(realm: Realm, key: PrivateKey) -> None:
    leaf = Leaf(SpiffeId("cluster.local", "shop", "cart"), key.public_key(), HOUR)
    with pytest.raises(CertificateRefused, match="the issuer is valid from"):
        make_leaf(leaf, realm.authority, serial=7, now=realm.now + 101 * HOUR)


def odd_leaf(
    realm: Realm,
    key: PrivateKey,
    *,
    uris: tuple[str, ...] = ("spiffe://cluster.local/ns/shop/sa/cart",),
    ca: bool = False,
    usages: tuple[str, ...] = ("digital_signature",),
    extended: tuple[x509.ObjectIdentifier, ...] = tuple(BOTH),
    critical: bool = True,
) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        realm.authority.certificate.subject, x509.Name([]), key.public_key(), 7, realm.now, realm.now + HOUR
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if uris:
        builder = builder.add_extension(x509.SubjectAlternativeName([Uri(uri) for uri in uris]), critical)
    if usages:
        builder = builder.add_extension(key_usage(*usages), critical=critical)
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    return builder.sign(realm.authority.key, hashes.SHA256())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"ca": True}, id="authority"),
        pytest.param({"usages": ("digital_signature", "key_cert_sign")}, id="cert-sign"),
        pytest.param({"usages": ("digital_signature", "crl_sign")}, id="crl-sign"),
        pytest.param({"usages": ("key_encipherment",)}, id="no-digital-signature"),
        pytest.param({"usages": ()}, id="no-key-usage"),
        pytest.param({"extended": (ExtendedKeyUsageOID.SERVER_AUTH,)}, id="server-only"),
        pytest.param({"uris": ()}, id="no-names"),
        pytest.param({"uris": ("spiffe://cluster.local/ns/a/sa/b",) * 2}, id="two-uris"),
        pytest.param({"uris": ("spiffe://cluster.local",)}, id="empty-path"),
        pytest.param({"uris": ("https://cluster.local/ns/a/sa/b",)}, id="no-spiffe-scheme"),
        pytest.param({"critical": False}, id="names-not-critical"),
    ],
)
def test_leaf_is_refused(realm: Realm, key: PrivateKey, options: dict[str, object]) -> None:
    with pytest.raises(CertificateRefused):
        check_leaf(odd_leaf(realm, key, **options))


def test_odd_leaf_is_fine_unless_made_odd(realm: Realm, key: PrivateKey) -> None:
    assert check_leaf(odd_leaf(realm, key)).service_account == "cart"


Chain = Callable[[Realm, Realm, PrivateKey], list[x509.Certificate]]
CHAINS: dict[str, Chain] = {
    "leaf-alone": lambda ours, _, key: [ours.leaf(key)],
    "no-leaf": lambda ours, _, key: [ours.authority.certificate],
    "nothing": lambda *_: [],
    "root-alone": lambda ours, _, key: [ours.root.certificate],
    "foreign": lambda _, other, key: [other.leaf(key), other.authority.certificate],
    "foreign-intermediate": lambda ours, other, key: [ours.leaf(key), other.authority.certificate],
    "too-long": lambda ours, _, key: [ours.leaf(key)] + [ours.authority.certificate] * 6,
    "leaf-signs-leaf": lambda ours, _, key: [
        make_leaf(
            Leaf(SpiffeId("cluster.local", "shop", "till"), key.public_key(), HOUR),
            Authority(ours.leaf(key), key),
            serial=9,
            now=ours.now,
        ),
        ours.leaf(key),
        ours.authority.certificate,
    ],
    "claims-our-domain": lambda _, other, key: [
        make_leaf(
            Leaf(SpiffeId("cluster.local", "shop", "cart"), key.public_key(), HOUR),
            other.authority,
            serial=9,
            now=other.now,
        ),
        other.authority.certificate,
    ],
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in CHAINS.items()])
def test_chain_is_refused(realm: Realm, other_realm: Realm, key: PrivateKey, make: Chain) -> None:
    with pytest.raises(CertificateRefused):
        verify_chain(make(realm, other_realm, key), [realm.root.certificate], now=realm.now)


def test_federated_root_may_not_speak_for_our_domain(
    realm: Realm, other_realm: Realm, key: PrivateKey
) -> None:
    chain = CHAINS["claims-our-domain"](realm, other_realm, key)
    both = [realm.root.certificate, other_realm.root.certificate]
    with pytest.raises(CertificateRefused, match=r"not an authority of cluster\.local"):
        verify_chain(chain, both, now=realm.now)


@pytest.mark.parametrize(("minutes", "fine"), [(-6, False), (-5, True), (0, True), (60, True), (61, False)])
def test_chain_is_valid_in_its_time(realm: Realm, key: PrivateKey, minutes: int, fine: bool) -> None:
    chain, now = [realm.leaf(key), realm.authority.certificate], realm.now + timedelta(minutes=minutes)
    if fine:
        assert verify_chain(chain, [realm.root.certificate], now=now) == check_leaf(chain[0])
    else:
        with pytest.raises(CertificateRefused):
            verify_chain(chain, [realm.root.certificate], now=now)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"identity": SpiffeId("cluster.local", "shop", "till")}, id="identity"),
        pytest.param({"names": ("a.example",)}, id="names"),
        pytest.param({"key": generate_key().public_key()}, id="key"),
        pytest.param({"serial": 8}, id="serial"),
        pytest.param({"hours": 2}, id="validity"),
        pytest.param({"other": True}, id="issuer"),
    ],
)
def test_issued_is_compared(
    realm: Realm, other_realm: Realm, key: PrivateKey, change: dict[str, Any]
) -> None:
    wanted = Leaf(SpiffeId("cluster.local", "shop", "cart"), key.public_key(), HOUR)
    made = make_leaf(wanted, realm.authority, serial=7, now=realm.now)

    def check(*, serial: int = 7, hours: int = 1, issuer: Realm = realm, **fields: Any) -> None:
        validity = Validity(realm.now - BACK_DATE, realm.now + hours * HOUR)
        certificate = issuer.authority.certificate
        check_issued(made, replace(wanted, **fields), serial=serial, issuer=certificate, validity=validity)

    check()
    with pytest.raises(CertificateRefused):
        check(**({"issuer": other_realm} if "other" in change else change))


def test_serials_are_positive_and_wide() -> None:
    for entropy in (b"\0" * 20, b"\xff" * 20):
        assert serial_number(entropy).bit_length() == 159
    assert serial_number(b"\0" * 19 + b"\x02") != serial_number(b"\0" * 20)
    with pytest.raises(ValueError, match="20 random bytes"):
        serial_number(b"short")


@given(st.integers(60, 86400), st.floats(0, 1), st.integers(-86400, 86400), st.integers(0, 10**8))
def test_renewal_is_near_the_half(seconds: int, jitter: float, later: int, start: int) -> None:
    issued = NOW + timedelta(seconds=start)
    validity = Validity(issued - BACK_DATE, issued + timedelta(seconds=seconds))
    now = issued + timedelta(seconds=later)
    due = renewal_time(validity, now=now, jitter=jitter)
    assert due >= now
    if due > now:
        assert 0.4 - 1e-3 <= (due - issued) / timedelta(seconds=seconds) <= 0.6 + 1e-3


def test_bundle_is_read_back(realm: Realm) -> None:
    bundle = Bundle("cluster.local", 3, (realm.root.certificate,), (realm.authority.certificate,))
    assert Bundle.decode(bundle.encode()) == bundle


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"trustDomain":"A","sequence":1,"roots":[],"intermediates":[]}',
        b'{"trustDomain":"a","sequence":1,"roots":[],"intermediates":[]}',
        b'{"trustDomain":"a","sequence":1,"roots":["x"],"intermediates":[]}',
        b'{"trustDomain":"a","sequence":1,"roots":[7],"intermediates":[]}',
    ],
)
def test_corrupt_bundle_is_refused(value: bytes) -> None:
    with pytest.raises(CertificateRefused):
        Bundle.decode(value)


def test_long_trust_domains_and_addresses_can_be_realms(tmp_path: Path, key: PrivateKey) -> None:
    for trust_domain in ("a" * 255, "10.1.2.3"):
        realm = make_realm(trust_domain)
        leaf = realm.leaf(key)
        chain = [leaf, realm.authority.certificate]
        assert verify_chain(chain, [realm.root.certificate], now=realm.now).trust_domain == trust_domain
        assert validity_of(leaf).contains(realm.now)
        organisation = realm.root.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        assert trust_domain.startswith(str(organisation[0].value))
