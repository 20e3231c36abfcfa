"""What the authority refuses to sign, and what it accepts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import csr_der as der
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st
from key_usages import key_usage

from artemon.pki import csr as module
from artemon.pki.csr import check_csr, make_csr
from artemon.pki.errors import CsrMalformed, CsrRefused, KeyRefused
from artemon.pki.keys import check_public_key, generate_key
from artemon.pki.spiffe import SpiffeId

CALLER = SpiffeId("cluster.local", "shop", "cart")
URI = str(CALLER)
OTHER = URI.replace("cart", "till")
KEY = ec.generate_private_key(ec.SECP256R1())
SHA256 = hashes.SHA256()
Uri = x509.UniformResourceIdentifier


def named(*names: x509.GeneralName) -> bytes:
    return der.built(KEY, x509.SubjectAlternativeName(names))


def subject(oid: ObjectIdentifier, value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value)])


def raw_uri(*uris: bytes) -> bytes:
    return der.csr(KEY, der.extension_request(der.uri_extension(*uris)))


def signed_by(key: Any, algorithm: Any = SHA256) -> bytes:
    name = x509.SubjectAlternativeName([Uri(URI)])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(name, critical=True)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def tampered() -> bytes:
    body = x509.load_pem_x509_csr(make_csr(KEY, CALLER)).public_bytes(serialization.Encoding.DER)
    return der.pem(body.replace(b"cart", b"till"))


def foreign_key() -> bytes:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = other.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return der.csr(KEY, der.extension_request(der.uri_extension(URI.encode())), spki=spki)


def challenge() -> bytes:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_attribute(
        x509.oid.AttributeOID.CHALLENGE_PASSWORD, b"secret"
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def many_extensions() -> bytes:
    extensions = [
        der.tlv(
            0x30, der.tlv(0x06, b"\x2a" + bytes([n // 128 + 1, n % 128]).replace(b"\0", b"\1")), b"\x04\x00"
        )
        for n in range(400)
    ]
    return der.csr(KEY, der.extension_request(*extensions))


WISHES: dict[str, Callable[[], bytes]] = {
    "other-account": lambda: named(Uri(OTHER)),
    "other-trust-domain": lambda: named(Uri(URI.replace("cluster", "evil"))),
    "upper-case-trust-domain": lambda: named(Uri(URI.replace("cluster", "CLUSTER"))),
    "escaped-dots": lambda: named(Uri(URI + "/%2e%2e/till")),
    "trailing-slash": lambda: named(Uri(URI + "/")),
    "two-uris": lambda: named(Uri(URI), Uri(OTHER)),
    "same-uri-twice": lambda: named(Uri(URI), Uri(URI)),
    "uri-and-dns": lambda: named(Uri(URI), x509.DNSName("cart.shop.svc")),
    "dns-only": lambda: named(x509.DNSName("cart.shop.svc")),
    "other-name": lambda: named(Uri(URI), x509.OtherName(ObjectIdentifier("1.2.3.4"), b"\x05\x00")),
    "email": lambda: named(x509.RFC822Name("a@b.example")),
    "no-names-in-extension": lambda: der.csr(KEY, der.extension_request(der.uri_extension())),
    "nul-after": lambda: raw_uri(URI.encode() + b"\0"),
    "nul-within": lambda: raw_uri(URI.encode() + b"\0.evil"),
    "utf8": lambda: raw_uri(URI.encode() + "ä".encode()),
    "invalid-utf8": lambda: raw_uri(URI.encode() + b"\xff\xfe"),
    "space-before": lambda: raw_uri(b" " + URI.encode()),
    "common-name-is-a-uri": lambda: der.built(KEY, subject=subject(NameOID.COMMON_NAME, URI[:64])),
    "common-name": lambda: der.built(KEY, subject=subject(NameOID.COMMON_NAME, "cart")),
    "organisation": lambda: der.built(KEY, subject=subject(NameOID.ORGANIZATION_NAME, "system:masters")),
    "authority": lambda: der.built(KEY, x509.BasicConstraints(ca=True, path_length=None)),
    "sign-certificates": lambda: der.built(KEY, key_usage("digital_signature", "key_cert_sign")),
    "sign-crls": lambda: der.built(KEY, key_usage("crl_sign")),
    "code-signing": lambda: der.built(KEY, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
    "any-usage": lambda: der.built(KEY, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
    "name-constraints": lambda: der.built(KEY, x509.NameConstraints([Uri("cluster.local")], None)),
    "unknown-extension": lambda: der.built(KEY, x509.UnrecognizedExtension(ObjectIdentifier("1.2.3"), b"x")),
    "names-twice": lambda: der.csr(
        KEY, der.extension_request(der.uri_extension(URI.encode()), der.uri_extension(OTHER.encode()))
    ),
    "two-extension-lists": lambda: der.csr(
        KEY,
        der.extension_request(der.uri_extension(URI.encode())),
        der.extension_request(der.uri_extension(OTHER.encode())),
    ),
    "challenge-password": challenge,
    "400-extensions": many_extensions,
}

KEYS: dict[str, Callable[[], bytes]] = {
    "rsa-1024": lambda: signed_by(rsa.generate_private_key(65537, 1024)),
    "rsa-e3": lambda: signed_by(rsa.generate_private_key(3, 2048)),
    "p224": lambda: signed_by(ec.generate_private_key(ec.SECP224R1())),
    "p521": lambda: signed_by(ec.generate_private_key(ec.SECP521R1())),
    "secp256k1": lambda: signed_by(ec.generate_private_key(ec.SECP256K1())),
    "ed25519": lambda: signed_by(ed25519.Ed25519PrivateKey.generate(), None),
    "sha512-with-ecdsa": lambda: signed_by(KEY, hashes.SHA512()),
    "sha224": lambda: signed_by(KEY, hashes.SHA224()),
    "tampered": tampered,
    "someone-elses-key": foreign_key,
}

GOOD = make_csr(KEY, CALLER)
BODIES: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "certificate-label": GOOD.replace(b"CERTIFICATE REQUEST", b"CERTIFICATE"),
    "two-blocks": GOOD + GOOD,
    "text-before": b"Subject: x\n" + GOOD,
    "text-after": GOOD + b"x",
    "cut": GOOD[: len(GOOD) // 2],
    "not-base64": b"-----BEGIN CERTIFICATE REQUEST-----\nA===\n-----END CERTIFICATE REQUEST-----\n",
    "nothing-within": der.pem(b""),
    "trailing-bytes": der.pem(
        x509.load_pem_x509_csr(GOOD).public_bytes(serialization.Encoding.DER) + b"\x00"
    ),
    "one-megabyte": GOOD + b"\n" * (1024 * 1024),
    "deep-nesting": der.pem(b"\x30\x80" * 2000),
    "key": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in (WISHES | KEYS).items()])
def test_request_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(CsrRefused):
        check_csr(make(), CALLER)


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in BODIES.items()])
def test_body_is_malformed(body: bytes) -> None:
    with pytest.raises(CsrMalformed):
        check_csr(body, CALLER)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(GOOD, id="ours"),
        pytest.param(GOOD.replace(b"\n", b"\r\n"), id="crlf"),
        pytest.param(GOOD.replace(b" CERTIFICATE REQ", b" NEW CERTIFICATE REQ"), id="new-label"),
        pytest.param(der.built(KEY), id="no-wishes"),
        pytest.param(make_csr(generate_key("p384"), CALLER), id="p384"),
        pytest.param(make_csr(generate_key("rsa2048"), CALLER), id="rsa2048"),
        pytest.param(der.built(KEY, key_usage("digital_signature", "key_encipherment")), id="tls-usages"),
        pytest.param(der.built(KEY, x509.BasicConstraints(ca=False, path_length=None)), id="no-authority"),
        pytest.param(
            der.csr(
                KEY,
                der.extension_request(der.uri_extension(URI.encode())),
                subject=der.tlv(0x30, der.tlv(0x31, der.tlv(0x30, bytes.fromhex("060355040a"), b"\x13\x00"))),
            ),
            id="empty-organisation-of-istio-agents",
        ),
    ],
)
def test_request_is_accepted(body: bytes) -> None:
    certified = check_csr(body, CALLER)
    assert certified == x509.load_pem_x509_csr(body).public_key()


def test_close_primes_are_refused() -> None:
    p = 2**1024 + 643  # close is what matters, prime is not
    with pytest.raises(KeyRefused, match="too close"):
        check_public_key(rsa.RSAPublicNumbers(65537, p * (p + 1000)).public_key())


def test_roca_structure_is_refused() -> None:
    modulus = 1
    for prime in (p for p in range(2, 168) if all(p % d for d in range(2, p))):
        modulus *= prime
    n = pow(65537, 4711, modulus) + modulus * (2**2047 // modulus + 12345)
    with pytest.raises(KeyRefused, match="ROCA"):
        check_public_key(rsa.RSAPublicNumbers(65537, n).public_key())


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    for body in (data, der.pem(data)):
        with pytest.raises(CsrMalformed):
            check_csr(body, CALLER)


@pytest.mark.slow
@given(st.data())
def test_a_changed_request_is_never_accepted_for_another_key(data: st.DataObject) -> None:
    body = bytearray(x509.load_pem_x509_csr(GOOD).public_bytes(serialization.Encoding.DER))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CsrRefused):
        assert check_csr(der.pem(bytes(body)), CALLER) == KEY.public_key()


def test_size_is_judged_before_parsing() -> None:
    with pytest.raises(CsrMalformed, match=str(module.MAX_CSR)):
        check_csr(b"\xff" * (module.MAX_CSR + 1), CALLER)
