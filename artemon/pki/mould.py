"""Leaves in DER (X.690), byte for byte as `x509.CertificateBuilder` has them, from parts encoded once.

Going through objects costs twice what the signature does. What is signed is parsed again by `cryptography`
and compared field by field before it leaves the process (`check_issued`).
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from artemon.pki.held import digest_for
from artemon.pki.keys import PublicKey, check_public_key
from artemon.pki.renewal import Validity

_INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30
_UTC, _GENERALIZED = 0x17, 0x18
_DNS, _URI, _IP = 0x82, 0x86, 0x87
_TRUE = b"\x01\x01\xff"
_VERSION_3 = b"\xa0\x03\x02\x01\x02"
_ALT_NAME, _CONSTRAINTS, _USAGE, _EXTENDED, _SUBJECT_KEY, _ISSUER_KEY = 17, 19, 15, 37, 14, 35
"""Last numbers of id-ce (RFC 5280 section 4.2.1)."""
_SIGNED_BY = {
    ("ec", "sha256"): "300a06082a8648ce3d040302",
    ("ec", "sha384"): "300a06082a8648ce3d040303",
    ("rsa", "sha256"): "300d06092a864886f70d01010b0500",
}
"""AlgorithmIdentifiers (RFC 5758 section 3.2, RFC 4055 section 5)."""
USAGE = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip
EXTENDED = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + body


def _extension(number: int, value: bytes, *, critical: bool = False) -> bytes:
    oid = _tlv(_OID, bytes((0x55, 0x1D, number)))
    return _tlv(_SEQUENCE, oid, _TRUE if critical else b"", _tlv(_OCTETS, value))


@lru_cache(maxsize=64)
def _time(at: datetime) -> bytes:
    """UTCTime until 2049 (RFC 5280 section 4.1.2.5)."""
    if at.year < 2050:
        return _tlv(_UTC, at.strftime("%y%m%d%H%M%SZ").encode())
    return _tlv(_GENERALIZED, at.strftime("%Y%m%d%H%M%SZ").encode())


def _value(der: bytes, at: int) -> tuple[int, int]:
    """Where the value of what begins at `at` begins and ends."""
    size, begin = der[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, begin = int.from_bytes(der[begin : begin + count]), begin + count
    return begin, begin + size


def _key_identifier(spki: bytes) -> bytes:
    """SHA-1 of the key's bits in a SubjectPublicKeyInfo (RFC 5280 section 4.2.1.2, method 1)."""
    bits, end = _value(spki, _value(spki, _value(spki, 0)[0])[1])
    return hashlib.sha1(spki[bits + 1 : end], usedforsecurity=False).digest()


def _name(name: str) -> bytes:
    if ":" in name or name[-1:].isdigit():  # no DNS name ends with a digit's label (RFC 3696 section 2)
        with suppress(ValueError):
            return _tlv(_IP, ipaddress.ip_address(name).packed)
    return _tlv(_DNS, name.encode("ascii"))


@lru_cache(maxsize=1024)
def _subject(name: x509.Name) -> bytes:
    return name.public_bytes()


@dataclass(frozen=True, slots=True)
class Mould:
    """What is the same in all leaves of one authority, in DER."""

    algorithm: bytes
    issuer: bytes
    uses: bytes
    issuer_key: bytes

    def tbs(
        self,
        *,
        serial: int,
        validity: Validity,
        subject: x509.Name,
        key: PublicKey,
        uri: str,
        names: Sequence[str] = (),
    ) -> bytes:
        """The TBSCertificate. serial: positive, at most 159 bits. names: DNS names and IP addresses. Raises
        ValueError for names that are not ASCII, and other serials."""
        if not 0 < serial < 1 << 159:
            raise ValueError("a serial is a positive number of at most 159 bits")
        alternative = _tlv(_SEQUENCE, _tlv(_URI, uri.encode("ascii")), *map(_name, names))
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        extensions = _tlv(
            _SEQUENCE,
            _extension(_ALT_NAME, alternative, critical=not list(subject)),
            self.uses,
            _extension(_SUBJECT_KEY, _tlv(_OCTETS, _key_identifier(spki))),
            self.issuer_key,
        )
        return _tlv(
            _SEQUENCE,
            _VERSION_3,
            _tlv(_INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1)),
            self.algorithm,
            self.issuer,
            _tlv(_SEQUENCE, _time(validity.not_before), _time(validity.not_after)),
            _subject(subject),
            spki,
            _tlv(0xA3, extensions),
        )

    def certificate(self, tbs: bytes, signature: bytes) -> x509.Certificate:
        """What was signed and its signature, parsed."""
        der = _tlv(_SEQUENCE, tbs, self.algorithm, _tlv(_BITS, b"\0", signature))
        return x509.load_der_x509_certificate(der)


@lru_cache(maxsize=8)
def mould_of(issuer: x509.Certificate) -> Mould:
    """The mould of the leaves that `issuer` signs."""
    key = check_public_key(issuer.public_key())
    digest: hashes.HashAlgorithm = digest_for(key)
    kind = "rsa" if isinstance(key, rsa.RSAPublicKey) else "ec"
    uses = (
        _extension(_CONSTRAINTS, NO_AUTHORITY.public_bytes(), critical=True),
        _extension(_USAGE, USAGE.public_bytes(), critical=True),
        _extension(_EXTENDED, EXTENDED.public_bytes()),
    )
    return Mould(
        algorithm=bytes.fromhex(_SIGNED_BY[kind, digest.name]),
        issuer=issuer.subject.public_bytes(),
        uses=b"".join(uses),
        issuer_key=_extension(
            _ISSUER_KEY, x509.AuthorityKeyIdentifier.from_issuer_public_key(key).public_bytes()
        ),
    )
