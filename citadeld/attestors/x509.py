"""Machines with a certificate of the operator's own (`x509:/etc/artemon/machines.pem`): the file has the
roots that it must lead to. Facts: `subject`, `subject.CN` (O, OU, ...), `san.dns`, `san.uri`, `san.email`,
`san.ip`, `issuer`, `serial`, `root` and `fingerprint`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import Field

from artemon.daemon.files import read_public
from artemon.errors import ArtemonError
from artemon.pki.certificate import fingerprint, load_certificates, validity_of
from artemon.pki.errors import CertificateRefused
from artemon.pki.keys import check_public_key
from artemon.pki.verify import MAX_CHAIN, UNREADABLE, check_links
from citadeld.attestors.api import Attested, Attestor, AttestorSettings, Evidence, Facts, Surroundings
from citadeld.decision import Denied, Method, Reason

MAX_VALUE = 512
_NAMES: Mapping[str, Any] = {
    "san.dns": x509.DNSName,
    "san.uri": x509.UniformResourceIdentifier,
    "san.email": x509.RFC822Name,
    "san.ip": x509.IPAddress,
}


class X509Settings(AttestorSettings):
    """Settings of one set of roots."""

    crl: str = Field(
        "", description="File (PEM) of revocation lists; every issuer then needs one that holds."
    )


@dataclass(frozen=True, slots=True)
class X509Attestor:
    """Judges client certificates. Files are read for each call: roots and lists may change."""

    file: Path
    lists: str
    trust_domain: str
    now: Callable[[], datetime]
    doors: tuple[Method, ...] = ("machine",)

    @property
    def roots(self) -> bytes:
        return _read(self.file)

    def takes(self, evidence: Evidence) -> bool:
        """Whether the chain ends at one of our roots, by name."""
        if not evidence.chain:
            return False
        try:
            return _anchor(load_certificates(evidence.chain), load_certificates(self.roots)) is not None
        except (ArtemonError, *UNREADABLE):
            return False

    async def attest(self, evidence: Evidence) -> Attested:
        try:
            return self._attest(load_certificates(evidence.chain))
        except (ArtemonError, *UNREADABLE) as error:
            raise Denied(Reason.NOT_AUTHENTICATED, f"the machine's certificate: {error}") from error

    async def run(self) -> None:
        return

    def _attest(self, chain: Sequence[x509.Certificate]) -> Attested:
        root = _verify(chain, load_certificates(self.roots), now=self.now())
        if self.lists:
            _check_lists([*chain, root], _read_lists(self.lists), now=self.now())
        facts = facts_of(chain[0], root)
        ours = f"spiffe://{self.trust_domain}/"
        if any(uri.startswith(ours) for uri in facts.get("san.uri", ())):
            raise CertificateRefused(
                f"it names an identity of {self.trust_domain}; only citadeld gives those"
            )
        return Attested(facts["subject"][0] or facts["fingerprint"][0], facts=facts)


def facts_of(leaf: x509.Certificate, root: x509.Certificate) -> Facts:
    """What a certificate says. Raises CertificateRefused for values that cannot be read in one way only."""
    found: dict[str, list[str]] = {
        "subject": [leaf.subject.rfc4514_string()],
        "issuer": [leaf.issuer.rfc4514_string()],
        "serial": [f"{leaf.serial_number:x}"],
        "fingerprint": [fingerprint(leaf)],
        "root": [fingerprint(root)],
    }
    for attribute in leaf.subject:
        found.setdefault(f"subject.{attribute.rfc4514_attribute_name}", []).append(str(attribute.value))
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = None
    for fact, kind in _NAMES.items():
        values = [str(value) for value in names.get_values_for_type(kind)] if names else []
        if values:
            found[fact] = values
    for name, values in found.items():
        if any(len(value) > MAX_VALUE or not value.isprintable() for value in values):
            raise CertificateRefused(f"{name} has control characters or more than {MAX_VALUE} characters")
    return {name: tuple(values) for name, values in found.items()}


def _verify(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], *, now: datetime
) -> x509.Certificate:
    """The root that the chain leads to (RFC 5280, section 6; the listener has checked name constraints)."""
    root = _anchor(chain, roots)
    if root is None or len(chain) > MAX_CHAIN or chain[0] in roots:
        raise CertificateRefused("it does not lead to a root of this attestor")
    links = [one for one in chain if one != root]
    for one in (*links, root):
        if not validity_of(one).contains(now):
            raise CertificateRefused("it, or an issuer of it, is expired or not valid yet")
    check_links([*links, root])
    check_public_key(links[0].public_key())
    _check_usage(links[0])
    return root


def _anchor(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> x509.Certificate | None:
    last = chain[-1]
    return next((root for root in roots if root == last or root.subject == last.issuer), None)


def _check_usage(leaf: x509.Certificate) -> None:
    for extension in leaf.extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise CertificateRefused("it is an authority, not a machine's")
        if isinstance(value, x509.KeyUsage) and not value.digital_signature:
            raise CertificateRefused("its key may not sign: the key usage digitalSignature is missing")
        if isinstance(value, x509.ExtendedKeyUsage) and not (
            {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(value)
        ):
            raise CertificateRefused("it is not for TLS clients")


def _check_lists(
    chain: Sequence[x509.Certificate], lists: Sequence[x509.CertificateRevocationList], *, now: datetime
) -> None:
    """That every certificate but the root is on no list of its issuer, and that there is a current one."""
    known = list(dict.fromkeys(chain))
    for one, issuer in pairwise(known):
        good = [each for each in lists if each.issuer == issuer.subject and _holds(each, issuer, now)]
        if not good:
            raise CertificateRefused("there is no current revocation list of one of its issuers")
        if any(each.get_revoked_certificate_by_serial_number(one.serial_number) for each in good):
            raise CertificateRefused("it, or an issuer of it, is revoked")


def _holds(one: x509.CertificateRevocationList, issuer: x509.Certificate, now: datetime) -> bool:
    key = check_public_key(issuer.public_key())
    end = one.next_update_utc
    return one.is_signature_valid(key) and one.last_update_utc <= now and (end is None or now < end)


def _read_lists(path: str) -> list[x509.CertificateRevocationList]:
    begin = b"-----BEGIN X509 CRL-----"
    parts = _read(Path(path)).split(begin)[1:]
    try:
        return [x509.load_pem_x509_crl(begin + part) for part in parts]
    except ValueError as error:
        raise CertificateRefused("the revocation lists of this attestor cannot be read") from error


def _read(path: Path) -> bytes:
    try:
        content = read_public(path)
    except ArtemonError:
        content = None
    if content is None:
        raise CertificateRefused(f"{path.name}, which this attestor judges by, cannot be read")
    return content


class _X509:
    settings = X509Settings

    def open(self, address: str, settings: AttestorSettings, around: Surroundings) -> Attestor:
        assert isinstance(settings, X509Settings)
        made = X509Attestor(Path(address.partition(":")[2]), settings.crl, around.trust_domain, around.now)
        load_certificates(made.roots)
        if settings.crl:
            _read_lists(settings.crl)
        return made


plugin = _X509()
