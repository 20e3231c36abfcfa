"""Encryption of what lies in the registry (AES-256-GCM, NIST SP 800-38D).

Each value has a key of its own, which a key-encryption key wraps; that one never lies in the registry. Both
layers are bound to a context: a value that was moved elsewhere, or is older than it pretends, does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from artemon.errors import ArtemonError

KEY_BYTES = 32
NONCE_BYTES = 12
Entropy = Callable[[int], bytes]
"""So many random bytes from the system."""
Sealed = Mapping[str, str]
"""`key`: id of the key-encryption key; `wrapped` and `text`: nonce and ciphertext, in base64."""


class Unsealable(ArtemonError):
    """A sealed value does not open: another key, another place, or it was changed."""


class Keyring:
    """Key-encryption keys: the first seals, all open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ArtemonError(f"a key ring needs keys of {KEY_BYTES} bytes")
        self._keys = {key_id(key): key for key in reversed(keys)}
        self.current = key_id(keys[0])

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """From lines of base64, the newest key first; `#` begins a comment. Raises ArtemonError."""
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        try:
            return cls([base64.b64decode(line, validate=True) for line in lines if line])
        except binascii.Error as error:
            raise ArtemonError("a line is not base64") from error

    def seal(self, plain: bytes, context: str, *, entropy: Entropy) -> Sealed:
        """`plain`, to be opened under the same `context` only."""
        own = entropy(KEY_BYTES)
        wrapped = _encrypt(self._keys[self.current], own, f"key/{context}", entropy)
        return {"key": self.current, "wrapped": wrapped, "text": _encrypt(own, plain, context, entropy)}

    def open(self, sealed: Mapping[str, Any], context: str) -> bytes:
        """What was sealed. Raises Unsealable."""
        key = self._keys.get(str(sealed.get("key")))
        if key is None:
            raise Unsealable(f"it is sealed with key {str(sealed.get('key'))[:16]}, which is not known here")
        own = _decrypt(key, sealed.get("wrapped"), f"key/{context}")
        return _decrypt(own, sealed.get("text"), context)


def key_id(key: bytes) -> str:
    """The name of a key: 16 hex digits that tell nothing about it."""
    return hashlib.sha256(b"artemon key-encryption key\0" + key).hexdigest()[:16]


def new_key_line(entropy: Entropy) -> str:
    """A new key, as `Keyring.parse` reads it."""
    return base64.b64encode(entropy(KEY_BYTES)).decode()


class Vault:
    """The data of Secrets of one mesh, sealed and opened. keyring: gives the keys as they are now; may raise
    ArtemonError."""

    def __init__(self, mesh: str, keyring: Callable[[], Keyring], *, entropy: Entropy) -> None:
        self._mesh, self._keyring, self._entropy = mesh, keyring, entropy

    def seal(self, data: Mapping[str, bytes], *, namespace: str, name: str, generation: int) -> Sealed:
        """The data of one generation of a Secret. Raises ArtemonError when there is no key."""
        encoded = {key: base64.b64encode(value).decode() for key, value in sorted(data.items())}
        context = self._context(namespace, name, generation)
        return self._keyring().seal(json.dumps(encoded).encode(), context, entropy=self._entropy)

    def open(
        self, sealed: Mapping[str, Any], *, namespace: str, name: str, generation: int
    ) -> dict[str, bytes]:
        """The data again. Raises ArtemonError (Unsealable, or: there is no key)."""
        plain = self._keyring().open(sealed, self._context(namespace, name, generation))
        return {key: base64.b64decode(value) for key, value in json.loads(plain).items()}

    def _context(self, namespace: str, name: str, generation: int) -> str:
        return f"{self._mesh}/Secret/{namespace}/{name}/{generation}"


def _encrypt(key: bytes, plain: bytes, context: str, entropy: Entropy) -> str:
    nonce = entropy(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, context.encode())).decode()


def _decrypt(key: bytes, text: object, context: str) -> bytes:
    try:
        raw = base64.b64decode(str(text), validate=True)
        return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError) as error:
        raise Unsealable("it was changed, or moved from another place") from error
