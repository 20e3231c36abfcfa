"""One authority asks another for an intermediate: a request that its present certificate vouches for. Pure.

Whoever may write the registry can put requests there; only who holds the key of an authority that is
trusted now can vouch for one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from artemon.pki.certificate import Authority, chain_pem, fingerprint, load_certificates, validity_of
from artemon.pki.errors import CertificateRefused, KeyRefused
from artemon.pki.held import KeySigning, digest_for
from artemon.pki.keys import PrivateKey, PublicKey, check_public_key
from artemon.pki.verify import UNREADABLE, check_link, is_authority

CONTEXT = b"artemon intermediate 1"
"""No certificate begins like this: what is signed here can pass for none."""


@dataclass(frozen=True, slots=True)
class IntermediateRequest:
    """root: SHA-256 of the one that the intermediate shall lead to. csr: PEM. chain: of who vouches, PEM, its
    own first, without the root."""

    root: str
    csr: bytes
    chain: bytes
    signature: bytes

    def encode(self) -> bytes:
        """The registry's value."""
        fields = {
            "root": self.root,
            "csr": self.csr.decode(),
            "chain": self.chain.decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }
        return json.dumps(fields).encode()

    @classmethod
    def decode(cls, value: bytes) -> IntermediateRequest:
        """From the registry. Raises CertificateRefused."""
        try:
            fields = json.loads(value)
            csr, chain = fields["csr"].encode(), fields["chain"].encode()
            return cls(str(fields["root"]), csr, chain, base64.b64decode(fields["signature"], validate=True))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise CertificateRefused(f"a request for an intermediate cannot be read: {error!r}") from error


def ask(key: PrivateKey, root: str, by: Authority) -> IntermediateRequest:
    """A request for the holder of `key`, for which the authority `by` vouches."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    csr = builder.sign(key, digest_for(key.public_key())).public_bytes(serialization.Encoding.PEM)
    signature = KeySigning(by.key).sign(_message(root, csr))
    chain = [by.certificate, *(one for one in by.issuers if one != by.root)]
    return IntermediateRequest(root, csr, chain_pem(chain), signature)


def judge(request: IntermediateRequest, roots: Sequence[x509.Certificate], *, now: datetime) -> PublicKey:
    """The key to certify. Raises CertificateRefused unless an authority that leads to one of `roots`, and is
    valid, vouches for it."""
    try:
        return _judged(request, roots, now)
    except (*UNREADABLE, KeyRefused) as error:
        raise CertificateRefused(f"the request for an intermediate cannot be read: {error}") from error


def _judged(request: IntermediateRequest, roots: Sequence[x509.Certificate], now: datetime) -> PublicKey:
    chain = load_certificates(request.chain)
    root = next((one for one in roots if one.subject == chain[-1].issuer), None)
    if root is None:
        raise CertificateRefused("who vouches for the request does not lead to a trusted root")
    for depth, (child, parent) in enumerate(zip(chain, [*chain[1:], root], strict=True)):
        check_link(child, parent, depth=depth)
        if not validity_of(child).contains(now):
            raise CertificateRefused("who vouches for the request is expired or not valid yet")
    if not is_authority(chain[0]):
        raise CertificateRefused("who vouches for the request is no authority")
    _check_signature(request, chain[0])
    try:
        csr = x509.load_pem_x509_csr(request.csr)
        key = check_public_key(csr.public_key())
    except (ValueError, TypeError, KeyRefused) as error:
        raise CertificateRefused("the request for an intermediate has no key that can be used") from error
    if not csr.is_signature_valid or key == chain[0].public_key():
        raise CertificateRefused("the request is not signed with a new key of its own")
    return key


def leads_to(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    """Whether `root` itself signed `certificate`."""
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return fingerprint(certificate) != fingerprint(root)


def _check_signature(request: IntermediateRequest, by: x509.Certificate) -> None:
    key, message = check_public_key(by.public_key()), _message(request.root, request.csr)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(request.signature, message, padding.PKCS1v15(), digest_for(key))
        else:
            key.verify(request.signature, message, ec.ECDSA(digest_for(key)))
    except InvalidSignature as error:
        raise CertificateRefused("nobody vouches for the request: its signature is wrong") from error


def _message(root: str, csr: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(csr)
    return b"\0".join((CONTEXT, root.encode(), digest.finalize()))
