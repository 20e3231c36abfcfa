"""Whether a certificate is what it must be: its profile, its chain, its identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from artemon.pki.certificate import Leaf, validity_of
from artemon.pki.errors import CertificateRefused, InvalidSpiffeId, KeyRefused
from artemon.pki.keys import check_public_key
from artemon.pki.renewal import Validity
from artemon.pki.spiffe import SpiffeId, SpiffeUri
from artemon.pki.subject import subject_name

MAX_CHAIN = 6
UNREADABLE = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What parts of a certificate raise that no one can read: they are looked at only when they are used."""
E = TypeVar("E", bound=x509.ExtensionType)


def spiffe_uri(certificate: x509.Certificate) -> SpiffeUri:
    """The one SPIFFE ID of a certificate. Raises CertificateRefused when it has none, or several URIs."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise CertificateRefused("the certificate carries no readable alternative name") from error
    if len(uris) != 1:
        raise CertificateRefused(f"the certificate must carry one URI, not {len(uris)}")
    try:
        return SpiffeUri.parse(uris[0])
    except InvalidSpiffeId as error:
        raise CertificateRefused(str(error)) from error


def spiffe_id(certificate: x509.Certificate) -> SpiffeId:
    """The workload that a certificate is for. Raises CertificateRefused."""
    try:
        return SpiffeId.of(spiffe_uri(certificate))
    except InvalidSpiffeId as error:
        raise CertificateRefused(str(error)) from error


def check_leaf(certificate: x509.Certificate) -> SpiffeId:
    """The identity of a well-formed X.509-SVID (SPIFFE standard, section 4 and appendix A).

    Raises CertificateRefused: an authority, a missing or wrong usage, no or several URIs.
    """
    identity = spiffe_id(certificate)
    try:
        found: Mapping[type, x509.Extension[Any]] = {type(one.value): one for one in certificate.extensions}
        usage, names = found[x509.KeyUsage], found[x509.SubjectAlternativeName]
        constraints, extended = (
            one.value if (one := found.get(kind)) else None
            for kind in (x509.BasicConstraints, x509.ExtendedKeyUsage)
        )
    except (KeyError, x509.DuplicateExtension, ValueError) as error:
        raise CertificateRefused(f"the certificate's extensions are incomplete: {error}") from error
    if constraints is not None and constraints.ca:
        raise CertificateRefused("the certificate is an authority, not a leaf")
    if not usage.critical or not usage.value.digital_signature:
        raise CertificateRefused("the certificate needs the critical key usage digitalSignature")
    if usage.value.key_cert_sign or usage.value.crl_sign:
        raise CertificateRefused("the certificate may sign certificates: it is not a leaf")
    both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if extended is not None and not both <= set(extended):
        raise CertificateRefused("the certificate must be for both TLS server and client")
    if not list(certificate.subject) and not names.critical:
        raise CertificateRefused("the alternative name must be critical when the subject is empty")
    try:
        check_public_key(certificate.public_key())
    except KeyRefused as error:
        raise CertificateRefused(str(error)) from error
    return identity


def check_issued(
    certificate: x509.Certificate, leaf: Leaf, *, serial: int, issuer: x509.Certificate, validity: Validity
) -> None:
    """Compare a certificate, parsed anew, with what was to be signed. Raises CertificateRefused."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    extra = [str(name.value) for name in names if not isinstance(name, x509.UniformResourceIdentifier)]
    wanted: tuple[tuple[str, object, object], ...] = (
        ("identity", check_leaf(certificate), leaf.identity),
        ("names", tuple(extra), leaf.names),
        ("serial", certificate.serial_number, serial),
        ("key", "the one" if certificate.public_key() == leaf.key else "another", "the one"),
        ("validity", validity_of(certificate), validity),
        ("subject", certificate.subject, subject_name(leaf.subject)),
        ("extensions", len(certificate.extensions), 6),
    )
    for what, found, expected in wanted:
        if found != expected:
            raise CertificateRefused(f"the signed certificate has {what} {found}, not {expected}")
    check_link(certificate, issuer, depth=0)


def verify_chain(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], *, now: datetime
) -> SpiffeId:
    """The identity of `chain` (leaf first; a root at its end is optional), if it leads to one of `roots`.

    Raises CertificateRefused: a broken link, an expired member, a foreign trust domain, an unknown root.
    """
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise CertificateRefused(f"a chain has 1 to {MAX_CHAIN} certificates, not {len(chain)}")
    identity = check_leaf(chain[0])
    links = [one for one in chain if one not in roots]
    anchor = next((root for root in roots if links and root.subject == links[-1].issuer), None)
    if anchor is None or not links:
        raise CertificateRefused("the chain does not lead to a trusted root")
    for one in (*links, anchor):
        if not validity_of(one).contains(now):
            raise CertificateRefused(f"a certificate of the chain is not valid at {now.isoformat()}")
    for depth, (child, parent) in enumerate(zip(links, [*links[1:], anchor], strict=True)):
        check_link(child, parent, depth=depth)
        if (
            _value(parent, x509.SubjectAlternativeName)
            and spiffe_uri(parent).trust_domain != identity.trust_domain
        ):
            raise CertificateRefused(f"an issuer is not an authority of {identity.trust_domain}")
    return identity


def verify_authority(
    chain: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    *,
    trust_domain: str,
    now: datetime,
) -> None:
    """That the first of `chain` may sign certificates of `trust_domain`, and leads to one of `roots` (or is
    one). Raises CertificateRefused."""
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise CertificateRefused(f"a chain has 1 to {MAX_CHAIN} certificates, not {len(chain)}")
    try:
        constraints, usage = _value(chain[0], x509.BasicConstraints), _value(chain[0], x509.KeyUsage)
        named = _value(chain[0], x509.SubjectAlternativeName) is not None
    except UNREADABLE as error:
        raise CertificateRefused(f"the certificate cannot be read: {error}") from error
    if constraints is None or not constraints.ca or usage is None or not usage.key_cert_sign:
        raise CertificateRefused("the certificate is no authority")
    if named and spiffe_uri(chain[0]).trust_domain != trust_domain:
        raise CertificateRefused(f"the certificate is not an authority of {trust_domain}")
    links = [one for one in chain if one not in roots]
    anchor = next((root for root in roots if links and root.subject == links[-1].issuer), None)
    if links and anchor is None:
        raise CertificateRefused("the chain does not lead to a trusted root")
    whole = [*links, *([anchor] if anchor else chain[:1])]
    for one in whole:
        if not validity_of(one).contains(now):
            raise CertificateRefused(f"a certificate of the chain is not valid at {now.isoformat()}")
    for depth, (child, parent) in enumerate(pairwise(whole)):
        check_link(child, parent, depth=depth)


def check_link(child: x509.Certificate, parent: x509.Certificate, *, depth: int) -> None:
    """That `parent` is an authority which signed `child`; `depth` authorities are below `parent`."""
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise CertificateRefused("a certificate is not signed by the next in its chain") from error
    authority, most = _rights(parent)
    if not authority:
        raise CertificateRefused("an issuer in the chain is not an authority")
    if most is not None and most < depth:
        raise CertificateRefused("the chain is longer than an issuer allows")


def check_links(chain: Sequence[x509.Certificate]) -> None:
    """That each of `chain` is signed by the next, which is an authority. Raises CertificateRefused."""
    for depth, (child, parent) in enumerate(pairwise(chain)):
        check_link(child, parent, depth=depth)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others."""
    constraints, usage = _value(certificate, x509.BasicConstraints), _value(certificate, x509.KeyUsage)
    return constraints is not None and constraints.ca and usage is not None and usage.key_cert_sign


@lru_cache(maxsize=64)
def _rights(parent: x509.Certificate) -> tuple[bool, int | None]:
    """Whether it may sign others, and how many authorities may be below it: issuers are few."""
    return is_authority(parent), path_length(parent)


def path_length(certificate: x509.Certificate) -> int | None:
    """How many authorities may be below this one; None: any number."""
    constraints = _value(certificate, x509.BasicConstraints)
    return None if constraints is None else constraints.path_length


def _value(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
