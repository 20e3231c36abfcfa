"""Revocation lists: what they name, what OpenSSL makes of them, when they are overdue."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pki_realm import NOW, Realm

from artemon.errors import Refused
from artemon.model.trust import BUNDLE, IDENTITIES, LISTS, SERIALS, Trust, decode_trust
from artemon.pki.certificate import MAX_LEAF_LIFETIME, chain_pem
from artemon.pki.errors import CertificateRefused
from artemon.pki.keys import PrivateKey
from artemon.pki.revocation import (
    LIST_LIFETIME,
    Ban,
    Revocation,
    RevocationList,
    half_over,
    is_overdue,
    make_list,
)


def revocation(serial: int) -> Revocation:
    end = (NOW + timedelta(hours=1)).isoformat()
    return Revocation(
        f"{serial:x}", "spiffe://cluster.local/ns/a/sa/b", "n", "i", end, NOW.isoformat(), "me", ""
    )


def list_of(realm: Realm, *serials: int, number: int = 1) -> RevocationList:
    named = [revocation(serial) for serial in serials]
    return make_list(realm.authority, named, fingerprint="i", number=number, now=NOW)


def verdict(folder: Path, realm: Realm, leaf: x509.Certificate, *lists: bytes) -> str:
    files = {
        "root.pem": chain_pem([realm.root.certificate]),
        "chain.pem": chain_pem([realm.authority.certificate]),
        "leaf.pem": chain_pem([leaf]),
        "crl.pem": b"".join(lists),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", "root.pem", "-untrusted"]
    command += ["chain.pem", "-CRLfile", "crl.pem", "leaf.pem"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("revoked", "answer"), [(False, "leaf.pem: OK"), (True, "certificate revoked")])
def test_openssl_agrees(realm: Realm, key: PrivateKey, tmp_path: Path, revoked: bool, answer: str) -> None:
    leaf = realm.leaf(key)
    serial = leaf.serial_number if revoked else 77
    of_root = make_list(realm.root, (), fingerprint="r", number=1, now=NOW).pem.encode()
    assert answer in verdict(tmp_path, realm, leaf, list_of(realm, serial).pem.encode(), of_root)


def test_a_list_names_exactly_what_is_revoked(realm: Realm) -> None:
    made = list_of(realm, 5, 2**158 + 1, number=7)
    assert made.serials == {5, 2**158 + 1}
    assert RevocationList.decode(made.encode()) == made
    assert made.crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7


def test_a_list_outlives_whatever_it_can_name(realm: Realm) -> None:
    crl = list_of(realm, 5).crl
    assert crl.next_update_utc is not None
    assert crl.next_update_utc - NOW >= 2 * MAX_LEAF_LIFETIME
    assert crl.last_update_utc <= NOW - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("later", "renew", "overdue"),
    [
        pytest.param(timedelta(0), False, False, id="new"),
        pytest.param(LIST_LIFETIME * 0.6, True, False, id="half-over"),
        pytest.param(LIST_LIFETIME, True, True, id="overdue"),
    ],
)
def test_lists_age(realm: Realm, later: timedelta, renew: bool, overdue: bool) -> None:
    crl = list_of(realm, 5).crl
    assert (half_over(crl, NOW + later), is_overdue(crl, NOW + later)) == (renew, overdue)


def test_a_short_list_that_is_overdue_stands(realm: Realm) -> None:
    """It could name certificates that are valid still: whoever signs such lists has to renew them."""
    builder = x509.CertificateRevocationListBuilder(
        realm.authority.certificate.subject, NOW, NOW + timedelta(hours=1)
    )

    crl = builder.sign(realm.authority.key, hashes.SHA256())
    assert not is_overdue(crl, NOW + timedelta(days=3))


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"issuer":"i","number":1,"pem":"x"}'])
def test_unreadable_records_are_refused(value: bytes) -> None:
    for kind in (Revocation, Ban, RevocationList):
        with pytest.raises(CertificateRefused):
            kind.decode(value)


def test_trust_is_read_from_its_keys(realm: Realm) -> None:
    ban = Ban("spiffe://cluster.local/ns/a/sa/b", "", "", "").encode()
    records = {
        BUNDLE: b'{"roots": ["ROOT\\n"]}',
        f"{SERIALS}1f": revocation(0x1F).encode(),
        f"{IDENTITIES}a/b": ban,
        f"{LISTS}i": list_of(realm, 0x1F).encode(),
    }
    read = {key: decode_trust(key, value) for key, value in records.items()}
    trust = Trust.of(read)
    assert trust.roots == b"ROOT\n"
    assert trust.refuses("spiffe://cluster.local/ns/a/sa/b", 1)
    assert trust.refuses("spiffe://cluster.local/ns/a/sa/other", 0x1F)
    assert not trust.refuses("spiffe://cluster.local/ns/a/sa/other", 2)
    assert trust.lists.startswith(b"-----BEGIN X509 CRL")
    del read[f"{SERIALS}1f"]
    assert Trust.of(read).lists == b"", "while nothing is revoked, nobody needs lists"


@pytest.mark.parametrize("key", [BUNDLE, f"{SERIALS}1f", f"{IDENTITIES}a/b", f"{LISTS}i", "trust/revoked/x"])
def test_corrupt_trust_is_refused(key: str) -> None:
    with pytest.raises(Refused):
        decode_trust(key, b"{}")
