"""Revocation: which serials and identities are good for nothing, and the lists (CRL, RFC 5280) that say so.

Where it lies in the registry: `trust/revoked/serials/<serial>`,
`trust/revoked/identities/<namespace>/<service account>`, and the lists, one of each issuer, under
`trust/revoked/lists/<SHA-256 of the issuer>`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from artemon.pki.certificate import MAX_LEAF_LIFETIME, Authority
from artemon.pki.errors import CertificateRefused
from artemon.pki.held import digest_for
from artemon.pki.keys import PublicKey
from artemon.pki.renewal import BACK_DATE

LIST_LIFETIME = 2 * MAX_LEAF_LIFETIME + BACK_DATE
"""How long a list is good: when it is overdue, whatever it names has expired."""


class _Json:
    """A record that is a JSON object with the fields' names."""

    def encode(self) -> bytes:
        """The registry's value."""
        return json.dumps(asdict(self)).encode()  # type: ignore[call-overload]

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """From a registry value. Raises CertificateRefused."""
        try:
            content = json.loads(value)
            return cls(**{name: str(content[name]) for name in cls.__dataclass_fields__})  # type: ignore[attr-defined]
        except (ValueError, TypeError, KeyError) as error:
            raise CertificateRefused(f"a record of revocation cannot be read: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Revocation(_Json):
    """One certificate that is revoked. serial: hexadecimal; issuer: SHA-256; times: RFC 3339."""

    serial: str
    identity: str
    node: str
    issuer: str
    notAfter: str
    at: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ban(_Json):
    """An identity that may not do anything in the mesh."""

    identity: str
    at: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list of one issuer. issuer: SHA-256 of its certificate; number: grows with every list."""

    issuer: str
    number: int
    pem: str

    def encode(self) -> bytes:
        """The registry's value."""
        return json.dumps({"issuer": self.issuer, "number": self.number, "pem": self.pem}).encode()

    @classmethod
    def decode(cls, value: bytes) -> RevocationList:
        """From a registry value. Raises CertificateRefused."""
        try:
            content: Mapping[str, Any] = json.loads(value)
            found = cls(str(content["issuer"]), int(content["number"]), str(content["pem"]))
            x509.load_pem_x509_crl(found.pem.encode())
        except (ValueError, TypeError, KeyError) as error:
            raise CertificateRefused(f"a revocation list cannot be read: {error!r}") from error
        return found

    @property
    def crl(self) -> x509.CertificateRevocationList:
        """The list itself."""
        return x509.load_pem_x509_crl(self.pem.encode())

    @property
    def serials(self) -> frozenset[int]:
        """The serials that it names."""
        return frozenset(one.serial_number for one in self.crl)


def make_list(
    issuer: Authority, revoked: Iterable[Revocation], *, fingerprint: str, number: int, now: datetime
) -> RevocationList:
    """The list of what `issuer` (with this fingerprint) has issued and what is revoked of it.

    Dated back by five minutes, so that clocks may differ. Raises CertificateRefused when what was signed is
    not what was to be signed: nobody who takes a list checks that it is complete.
    """
    now = now.replace(microsecond=0)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - BACK_DATE)
        .next_update(now + LIST_LIFETIME)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_key_identifier(issuer.certificate), critical=False)
    )
    wanted = {int(one.serial, 16): datetime.fromisoformat(one.at) for one in revoked}
    for serial, at in sorted(wanted.items()):
        one = (
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at.replace(microsecond=0))
        )
        builder = builder.add_revoked_certificate(one.build())
    signed = builder.sign(issuer.key, digest_for(issuer.key.public_key()))
    made = RevocationList(fingerprint, number, signed.public_bytes(serialization.Encoding.PEM).decode())
    key: PublicKey = issuer.key.public_key()
    if made.serials != wanted.keys() or not made.crl.is_signature_valid(key):
        raise CertificateRefused("the revocation list that was signed is not the one that was to be signed")
    return made


def is_overdue(crl: x509.CertificateRevocationList, now: datetime) -> bool:
    """Whether a list has ended, and with it everything that it could name: Envoy would refuse everyone for
    it, while nothing that it names is valid any more."""
    end = crl.next_update_utc
    return end is not None and end <= now and end - crl.last_update_utc >= MAX_LEAF_LIFETIME


def half_over(crl: x509.CertificateRevocationList, now: datetime) -> bool:
    """Whether a list should be signed anew although nothing changed."""
    end = crl.next_update_utc
    return end is None or now >= end - timedelta(seconds=LIST_LIFETIME.total_seconds() / 2)


def _key_identifier(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)
