"""Values of the registry that carry the signature of who wrote them (Ed25519, RFC 8032).

A signed value is the JSON text of an object whose last member is the signature, always equally long. It
covers the exact bytes, the place where they lie, and a sequence that grows with every write of one place: a
value that was changed, moved elsewhere or taken from the past is told apart.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from artemon.errors import ArtemonError

CONTEXT = b"artemon registry value 1"
MAX_SEQUENCE = 10**16 - 1
_MEMBER = b'"signature":"'
_TEXT = re.compile(rb"([0-9a-f]{16})\.([0-9]{16})\.([A-Za-z0-9_-]{86})")
TAIL = 1 + len(_MEMBER) + 16 + 1 + 16 + 1 + 86 + 2
"""Bytes that a signature adds, the closing brace included."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed (`key`: id of the public key), as the how-manieth."""

    key: str
    sequence: int
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that signs values."""

    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def new(cls) -> SigningKey:
        """From the system's entropy."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, pem: bytes) -> SigningKey:
        """From PKCS#8. Raises ArtemonError."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise ArtemonError(
                "the signing key cannot be read: it must be one unencrypted PEM key"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ArtemonError("the signing key must be Ed25519")
        return cls(key)

    @property
    def pem(self) -> bytes:
        """The key as PKCS#8, for a file that only its owner can read."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    @property
    def id(self) -> str:
        """The name of the public half."""
        return key_id(self.public)


def key_id(public: bytes) -> str:
    """The name of a public key: 16 hex digits."""
    return hashlib.sha256(b"artemon signing key\0" + public).hexdigest()[:16]


def sign(body: bytes, key: SigningKey, *, place: str, sequence: int) -> bytes:
    """The value: `body` (the text of a JSON object) with its signature. sequence: 0 to MAX_SEQUENCE."""
    signature = key.private.sign(_message(body, place, sequence))
    encoded = base64.urlsafe_b64encode(signature).rstrip(b"=")
    head = body[:-1] if body == b"{}" else body[:-1] + b","
    return head + _MEMBER + f"{key.id}.{sequence:016d}.".encode() + encoded + b'"}'


def split(value: bytes) -> tuple[bytes, Signature | None]:
    """The body of a value and its signature, not verified; None where it has none."""
    tail = value[-TAIL:] if len(value) >= TAIL else b"," + value
    found = _TEXT.fullmatch(tail[1 + len(_MEMBER) : -2])
    if found is None or tail[1 : 1 + len(_MEMBER)] != _MEMBER or tail[-2:] != b'"}':
        return value, None
    whole = value == tail and tail[:1] == b"{"
    if not whole and tail[:1] != b",":
        return value, None
    try:
        signature = base64.b64decode(found[3] + b"==", altchars=b"-_", validate=True)
    except binascii.Error:
        return value, None
    return (b"{}" if whole else value[:-TAIL] + b"}"), Signature(found[1].decode(), int(found[2]), signature)


def fits(signature: Signature, body: bytes, public: bytes, *, place: str) -> bool:
    """Whether the holder of `public` signed `body` for `place`."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signature.value, _message(body, place, signature.sequence))
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(body: bytes, place: str, sequence: int) -> bytes:
    return b"\0".join((CONTEXT, place.encode(), b"%d" % sequence, body))
