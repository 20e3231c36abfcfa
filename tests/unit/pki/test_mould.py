"""Leaves that are put together in DER are, byte for byte, what cryptography's builder makes of the same."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import get_args

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from artemon.pki.certificate import Authority, Leaf, leaf_validity, make_intermediate, make_leaf, make_root
from artemon.pki.held import KeySigning, digest_for, held
from artemon.pki.keys import KeyType, PrivateKey, generate_key
from artemon.pki.mould import EXTENDED, NO_AUTHORITY, USAGE, mould_of
from artemon.pki.renewal import Validity
from artemon.pki.spiffe import SpiffeId
from artemon.pki.subject import subject_name

KINDS: tuple[KeyType, ...] = get_args(KeyType)
NOW = datetime(2026, 7, 4, 5, 6, 7, tzinfo=UTC)
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(
    st.builds("{}.example".format, LABEL) | st.ip_addresses().map(str), unique=True, max_size=6
).map(tuple)


@cache
def key_of(kind: KeyType) -> PrivateKey:
    return generate_key(kind)


@cache
def authority(kind: KeyType) -> Authority:
    root_key = generate_key("p384")
    root = make_root(root_key, "cluster.local", serial=1, now=NOW, lifetime=timedelta(days=20000))
    key, above = generate_key(kind), Authority(root, root_key)
    made = make_intermediate(
        key.public_key(), above, "cluster.local", serial=2, now=NOW, lifetime=timedelta(days=19000)
    )
    return Authority(made, held(KeySigning(key)), (root,))


def general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def by_builder(leaf: Leaf, issuer: Authority, serial: int, validity: Validity) -> x509.Certificate:
    subject, signer = subject_name(leaf.subject), issuer.key.public_key()
    names = [x509.UniformResourceIdentifier(str(leaf.identity)), *map(general, leaf.names)]
    builder = x509.CertificateBuilder(
        issuer.certificate.subject, subject, leaf.key, serial, validity.not_before, validity.not_after
    )
    for value, critical in (
        (x509.SubjectAlternativeName(names), not list(subject)),
        (NO_AUTHORITY, True),
        (USAGE, True),
        (EXTENDED, False),
        (x509.SubjectKeyIdentifier.from_public_key(leaf.key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), False),
    ):
        builder = builder.add_extension(value, critical)
    return builder.sign(issuer.key, digest_for(signer))


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(KINDS),
    st.integers(1, (1 << 159) - 1),
    LABEL,
    NAMES,
    st.sampled_from(["", "a/b/c/d/e/f", "x" * 60 + "/" + "/" * 4]),
    st.integers(0, 18000),
)
def test_as_the_builder_makes_them(
    kind: KeyType, signer: KeyType, serial: int, account: str, names: tuple[str, ...], subject: str, days: int
) -> None:
    issuer, now = authority(signer), NOW + timedelta(days=days)
    key = key_of(kind).public_key()
    leaf = Leaf(SpiffeId("cluster.local", "shop", account), key, timedelta(hours=3), names, subject)
    made = make_leaf(leaf, issuer, serial=serial, now=now)
    wanted = by_builder(leaf, issuer, serial, leaf_validity(leaf.lifetime, issuer, now))
    assert made.tbs_certificate_bytes == wanted.tbs_certificate_bytes
    assert made.signature_algorithm_oid == wanted.signature_algorithm_oid
    made.verify_directly_issued_by(issuer.certificate)


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_serials_that_no_certificate_has(serial: int) -> None:
    issuer, key = authority("p256"), key_of("p256").public_key()
    with pytest.raises(ValueError, match="159 bits"):
        make_leaf(Leaf(SpiffeId("a", "b", "c"), key, timedelta(hours=1)), issuer, serial=serial, now=NOW)


def test_names_that_no_certificate_has() -> None:
    mould, key = mould_of(authority("p256").certificate), key_of("p256").public_key()
    for uri, name in (("spiffe://ä", "a"), ("spiffe://a", "ä")):
        with pytest.raises(ValueError):
            mould.tbs(
                serial=1, validity=Validity(NOW, NOW), subject=x509.Name([]), key=key, uri=uri, names=(name,)
            )
