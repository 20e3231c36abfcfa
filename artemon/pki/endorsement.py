"""A signing key's papers: the holder of an X.509-SVID, or an authority, says that it is its own. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from artemon.pki.certificate import Authority, chain_pem, load_certificates
from artemon.pki.errors import CertificateRefused
from artemon.pki.held import digest_for
from artemon.pki.keys import PrivateKey
from artemon.pki.signing import key_id
from artemon.pki.spiffe import SpiffeId
from artemon.pki.verify import verify_authority, verify_chain

CONTEXT = b"artemon signer 1"
AUTHORITY_CONTEXT = b"artemon authority signer 1"
"""No certificate begins like these: what is signed here can pass for none."""


@dataclass(frozen=True, slots=True)
class Endorsement:
    """public: the signing key, 32 bytes. at: when it was endorsed. chain_pem: the endorser's certificate."""

    public: bytes
    at: datetime
    chain_pem: bytes
    signature: bytes

    def encode(self) -> bytes:
        """The registry's value."""
        fields = {
            "key": base64.b64encode(self.public).decode(),
            "at": self.at.isoformat(),
            "chain": self.chain_pem.decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }
        return json.dumps(fields).encode()

    @classmethod
    def decode(cls, value: bytes) -> Endorsement:
        """From the registry. Raises CertificateRefused."""
        try:
            fields: dict[str, Any] = json.loads(value)
            public = base64.b64decode(fields["key"], validate=True)
            at = datetime.fromisoformat(fields["at"])
            chain = fields["chain"].encode()
            signature = base64.b64decode(fields["signature"], validate=True)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CertificateRefused("the endorsement cannot be read") from error
        if at.tzinfo is None:
            raise CertificateRefused("the endorsement's time has no zone")
        return cls(public, at, chain, signature)


def endorse(public: bytes, *, key: PrivateKey, chain_pem: bytes, mesh: str, at: datetime) -> Endorsement:
    """The holder of `key` and its certificate endorses `public` for a mesh."""
    message = _message(public, mesh, at)
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    return Endorsement(public, at, chain_pem, signature)


def check_endorsement(one: Endorsement, *, roots_pem: bytes, endorser: SpiffeId, mesh: str) -> str:
    """The id of the endorsed key. Raises CertificateRefused unless `endorser` endorsed it while its
    certificate was valid: what it signed then stays good when that certificate is over."""
    chain = load_certificates(one.chain_pem)
    found = verify_chain(chain, load_certificates(roots_pem), now=one.at)
    if found != endorser:
        raise CertificateRefused(f"the signing key is endorsed by {found}, not by {endorser}")
    if not _is_signed(chain[0], one, mesh):
        raise CertificateRefused("the endorsement's signature is wrong")
    return key_id(one.public)


def endorse_as_authority(public: bytes, authority: Authority, *, mesh: str, at: datetime) -> Endorsement:
    """An authority endorses `public` for a mesh."""
    key, message = authority.key, _message(public, mesh, at, context=AUTHORITY_CONTEXT)
    digest = digest_for(key.public_key())
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(message, padding.PKCS1v15(), digest)
    else:
        signature = key.sign(message, ec.ECDSA(digest))
    return Endorsement(public, at, endorsing_chain(authority), signature)


def endorsing_chain(authority: Authority) -> bytes:
    """What an authority shows of itself: PEM, without the root unless it is one."""
    return chain_pem([authority.certificate, *(one for one in authority.issuers if one != authority.root)])


def check_authority_endorsement(one: Endorsement, *, roots_pem: bytes, trust_domain: str, mesh: str) -> str:
    """The id of the endorsed key. Raises CertificateRefused unless an authority of `trust_domain` endorsed it
    while it was valid: who may sign certificates may say what is trusted."""
    chain = load_certificates(one.chain_pem)
    verify_authority(chain, load_certificates(roots_pem), trust_domain=trust_domain, now=one.at)
    if not _is_signed(chain[0], one, mesh, context=AUTHORITY_CONTEXT):
        raise CertificateRefused("the endorsement's signature is wrong")
    return key_id(one.public)


def _is_signed(leaf: x509.Certificate, one: Endorsement, mesh: str, *, context: bytes = CONTEXT) -> bool:
    key, message = leaf.public_key(), _message(one.public, mesh, one.at, context=context)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(one.signature, message, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            digest = digest_for(key) if context == AUTHORITY_CONTEXT else hashes.SHA256()
            key.verify(one.signature, message, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _message(public: bytes, mesh: str, at: datetime, *, context: bytes = CONTEXT) -> bytes:
    return b"\0".join((context, mesh.encode(), at.isoformat().encode(), public))
