"""Certificates: root, intermediate, leaf (RFC 5280; SPIFFE standard, "X.509-SVID").

Serials come from the caller, so that they can be written down before anything is signed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from artemon.pki.errors import CertificateRefused
from artemon.pki.held import KeySigning, digest_for
from artemon.pki.keys import PrivateKey, PublicKey
from artemon.pki.mould import mould_of
from artemon.pki.renewal import BACK_DATE, Validity
from artemon.pki.spiffe import SpiffeId, SpiffeUri
from artemon.pki.subject import subject_name

MAX_LEAF_LIFETIME = timedelta(hours=24)
SERIAL_BYTES = 20


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs, its key (which may be held: `artemon.pki.held`), and what leads from it to
    the root (root last)."""

    certificate: x509.Certificate
    key: PrivateKey
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def root(self) -> x509.Certificate:
        """Where the chain ends; the certificate itself when it is a root."""
        return self.issuers[-1] if self.issuers else self.certificate


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is to be certified. names: DNS names and IP addresses, decided by policy alone. subject: what
    telemetry is told (`artemon.pki.subject`); it carries no right."""

    identity: SpiffeId
    key: PublicKey
    lifetime: timedelta
    names: tuple[str, ...] = ()
    subject: str = ""


def serial_number(entropy: bytes) -> int:
    """A positive serial of 159 bits from 20 random bytes. Raises ValueError when they are fewer."""
    if len(entropy) != SERIAL_BYTES:
        raise ValueError(f"a serial needs {SERIAL_BYTES} random bytes")
    return (int.from_bytes(entropy) >> 1) | 1 << 158


def make_root(
    key: PrivateKey, trust_domain: str, *, serial: int, now: datetime, lifetime: timedelta
) -> x509.Certificate:
    """A self-signed root for `trust_domain`."""
    name = _authority_name(trust_domain, "root", serial)
    builder = _builder(
        name, issuer=name, key=key.public_key(), serial=serial, validity=_validity(now, lifetime)
    )
    builder = _as_authority(builder, trust_domain, path_length=1)
    return _sign(builder, key.public_key(), key)


def make_intermediate(
    key: PublicKey, root: Authority, trust_domain: str, *, serial: int, now: datetime, lifetime: timedelta
) -> x509.Certificate:
    """An authority that can sign leaves of `trust_domain` only; never outlives the root."""
    builder = _builder(
        _authority_name(trust_domain, "intermediate", serial),
        issuer=root.certificate.subject,
        key=key,
        serial=serial,
        validity=_within(_validity(now, lifetime), root.certificate, now),
    )
    builder = _as_authority(builder, trust_domain, path_length=0)
    if not _is_address(trust_domain):  # constraints on URIs are about host names
        constraint = x509.NameConstraints([x509.UniformResourceIdentifier(trust_domain)], None)
        builder = builder.add_extension(constraint, critical=False)
    return _sign(builder, key, root.key)


def make_leaf(leaf: Leaf, issuer: Authority, *, serial: int, now: datetime) -> x509.Certificate:
    """An X.509-SVID for `leaf`, parsed from the bytes that were signed. Raises CertificateRefused when the
    issuer is not valid now.

    Valid from five minutes ago, at most 24 hours ahead, and never longer than the issuer.
    """
    mould = mould_of(issuer.certificate)
    tbs = mould.tbs(
        serial=serial,
        validity=leaf_validity(leaf.lifetime, issuer, now),
        subject=subject_name(leaf.subject),
        key=leaf.key,
        uri=str(leaf.identity),
        names=leaf.names,
    )
    return mould.certificate(tbs, KeySigning(issuer.key).sign(tbs))


def leaf_validity(lifetime: timedelta, issuer: Authority, now: datetime) -> Validity:
    """When a leaf signed now would be valid. Raises CertificateRefused when the issuer is not valid now."""
    return _within(_validity(now, min(lifetime, MAX_LEAF_LIFETIME)), issuer.certificate, now)


def validity_of(certificate: x509.Certificate) -> Validity:
    """From when until when `certificate` is valid."""
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def chain_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """The certificates as PEM, one after another."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def load_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Every certificate in `pem`, at least one. Raises CertificateRefused."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateRefused("there is no readable PEM certificate") from error


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, in hex: what a pin compares."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _validity(now: datetime, lifetime: timedelta) -> Validity:
    now = now.replace(microsecond=0)
    return Validity(now - BACK_DATE, now + lifetime)


def _within(validity: Validity, issuer: x509.Certificate, now: datetime) -> Validity:
    outer = validity_of(issuer)
    if not outer.contains(now):
        raise CertificateRefused(
            f"the issuer is valid from {outer.not_before} to {outer.not_after}, not at {now}"
        )
    return Validity(max(validity.not_before, outer.not_before), min(validity.not_after, outer.not_after))


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: PublicKey, serial: int, validity: Validity
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=serial,
        not_valid_before=validity.not_before,
        not_valid_after=validity.not_after,
    )


def _as_authority(
    builder: x509.CertificateBuilder, trust_domain: str, *, path_length: int
) -> x509.CertificateBuilder:
    uri = x509.UniformResourceIdentifier(str(SpiffeUri(trust_domain)))
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_signs_others(), critical=True)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: PublicKey, signer: PrivateKey) -> x509.Certificate:
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key), critical=False
    ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    return builder.sign(signer, digest_for(signer.public_key()))


def _signs_others() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_name(trust_domain: str, role: str, serial: int) -> x509.Name:
    """Unique for each authority; a common name has at most 64 characters, a trust domain up to 255."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Artemon {role} {serial:040x}"[:64]),
        ]
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
