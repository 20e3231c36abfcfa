"""Certificate requests: made by agents, judged by the authority.

What a request asks for never decides what is signed: the caller's authenticated identity does. A request
that asks for something else is refused rather than rewritten, so that a confused or hostile caller shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import (
    ExtendedKeyUsageOID,
    ExtensionOID,
    NameOID,
    ObjectIdentifier,
    SignatureAlgorithmOID,
)

from artemon.pki.errors import CsrMalformed, CsrRefused, InvalidSpiffeId, KeyRefused
from artemon.pki.keys import PrivateKey, PublicKey, check_public_key
from artemon.pki.spiffe import SpiffeId

MAX_CSR = 8 * 1024
_PEM = re.compile(
    rb"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\r?\n"
    rb"[A-Za-z0-9+/=\r\n]+"
    rb"-----END (NEW )?CERTIFICATE REQUEST-----\s*"
)
_EXTENSION_REQUEST = ObjectIdentifier("1.2.840.113549.1.9.14")
_SIGNATURES = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA512,
}
_USAGES = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
_FOREIGN_USAGES = (
    "content_commitment",
    "data_encipherment",
    "key_cert_sign",
    "crl_sign",
)


def make_csr(key: PrivateKey, identity: SpiffeId) -> bytes:
    """A request for exactly `identity`, as PEM."""
    name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(name, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def check_csr(pem: bytes, caller: SpiffeId) -> PublicKey:
    """The public key to certify for `caller`.

    Raises CsrMalformed when `pem` is not one well-formed request, CsrRefused when its signature, key or
    wishes are not acceptable. Costs a bounded time whatever the input.
    """
    request = _parse(pem)
    if request.signature_algorithm_oid not in _SIGNATURES:
        raise CsrRefused("the request must be signed with ECDSA or RSA and SHA-256 or SHA-384")
    try:
        key = check_public_key(request.public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CsrRefused("the key in the request is not supported; use P-256, P-384 or RSA") from error
    except KeyRefused as error:
        raise CsrRefused(str(error)) from error
    if not request.is_signature_valid:
        raise CsrRefused("the request is not signed with the key that it carries")
    _check_subject(request.subject)
    for extension in _extensions(request):
        judge = _JUDGES.get(extension.oid)
        if judge is None:
            raise CsrRefused(f"the request asks for the extension {extension.oid.dotted_string}")
        judge(extension.value, caller)
    return key


def requested_identity(pem: bytes) -> SpiffeId:
    """The one identity that a request names, for callers who may have several; `check_csr` judges the rest.

    Raises CsrMalformed and CsrRefused.
    """
    for extension in _extensions(_parse(pem)):
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = list(extension.value)
            if len(names) == 1 and isinstance(names[0], x509.UniformResourceIdentifier):
                try:
                    return SpiffeId.parse(names[0].value)
                except InvalidSpiffeId as error:
                    raise CsrRefused(str(error)) from error
    raise CsrRefused("the request must name one URI and nothing else")


def _parse(pem: bytes) -> x509.CertificateSigningRequest:
    if len(pem) > MAX_CSR:
        raise CsrMalformed(f"the request has {len(pem)} bytes; at most {MAX_CSR} are accepted")
    if not _PEM.fullmatch(pem):
        raise CsrMalformed("the request is not exactly one PEM block CERTIFICATE REQUEST")
    try:
        return x509.load_pem_x509_csr(pem)
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise CsrMalformed("the request is not a PKCS#10 certificate request") from error


def _check_subject(subject: x509.Name) -> None:
    """Agents of the Istio family send an empty organisation; any other name is a wish."""
    for attribute in subject:
        if attribute.oid != NameOID.ORGANIZATION_NAME or attribute.value not in {"", b""}:
            raise CsrRefused("the subject of the request must be empty: identity is in the URI name")


def _extensions(request: x509.CertificateSigningRequest) -> list[x509.Extension[x509.ExtensionType]]:
    try:
        kinds = [attribute.oid for attribute in request.attributes]
        if kinds not in ([], [_EXTENSION_REQUEST]):
            raise CsrRefused("the request carries attributes other than one list of extensions")
        return list(request.extensions)
    except x509.DuplicateExtension as error:
        raise CsrRefused("the request carries an extension twice") from error
    except (ValueError, TypeError, x509.UnsupportedGeneralNameType) as error:
        raise CsrMalformed("the extensions of the request cannot be read") from error


def _check_names(value: x509.ExtensionType, caller: SpiffeId) -> None:
    assert isinstance(value, x509.SubjectAlternativeName)
    names = list(value)
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise CsrRefused("the request must name one URI and nothing else")
    if names[0].value != str(caller):
        raise CsrRefused(f"the request asks for another identity than the caller's, {caller}")


def _check_constraints(value: x509.ExtensionType, _: SpiffeId) -> None:
    assert isinstance(value, x509.BasicConstraints)
    if value.ca or value.path_length is not None:
        raise CsrRefused("the request asks to be an authority")


def _check_usage(value: x509.ExtensionType, _: SpiffeId) -> None:
    assert isinstance(value, x509.KeyUsage)
    asked = [usage for usage in _FOREIGN_USAGES if getattr(value, usage)]
    if asked:
        raise CsrRefused(f"the request asks for the key usage {asked[0]}")


def _check_extended_usage(value: x509.ExtensionType, _: SpiffeId) -> None:
    assert isinstance(value, x509.ExtendedKeyUsage)
    if not set(value) <= _USAGES:
        raise CsrRefused("the request asks for a use other than TLS server and client")


def _accept(_: x509.ExtensionType, __: SpiffeId) -> None:
    """A key identifier is computed again from the key."""


_JUDGES: Mapping[ObjectIdentifier, Callable[[x509.ExtensionType, SpiffeId], None]] = {
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: _check_names,
    ExtensionOID.BASIC_CONSTRAINTS: _check_constraints,
    ExtensionOID.KEY_USAGE: _check_usage,
    ExtensionOID.EXTENDED_KEY_USAGE: _check_extended_usage,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: _accept,
}
