"""Private keys of authorities on disk: 0600, and encrypted where there is something to encrypt them with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from artemon.daemon.files import read_kept, read_secret, write_secret
from artemon.errors import ArtemonError
from artemon.pki.certificate import SERIAL_BYTES, serial_number
from artemon.pki.keys import (
    KeyType,
    PrivateKey,
    check_public_key,
    is_encrypted,
    load_private_key,
    private_pem,
    spki_sha256,
)

SHORTEST = 32
"""Characters of a passphrase; they are random, not words."""


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """How keys are read, written and made. passphrases: the first encrypts, all decrypt; none: keys are
    written as they are. rewrite: whether a key is encrypted anew when it is not under the first."""

    passphrases: Sequence[bytes] = field(default=(), repr=False)
    key_type: KeyType = "p256"
    root_type: KeyType = "p384"
    rewrite: bool = True

    def read(self, path: Path) -> PrivateKey | None:
        """The key in a file; None when there is none. Raises InsecureFile, KeyRefused, ArtemonError."""
        pem = read_secret(path)
        if pem is None:
            return None
        if not is_encrypted(pem):
            key = load_private_key(pem)
            if self.passphrases and self.rewrite:
                self.write(path, key)
            return key
        if not self.passphrases:
            raise ArtemonError(f"{path} is encrypted: set what its key is (key_encryption)")
        for number, one in enumerate(self.passphrases):
            try:
                key = load_private_key(pem, one)
            except ArtemonError:
                continue
            if number and self.rewrite:
                self.write(path, key)
            return key
        raise ArtemonError(f"{path} is encrypted with a key that is not known here")

    def of(self, path: Path, certificate: x509.Certificate) -> PrivateKey | None:
        """The same, if it is the key of `certificate`. Raises ArtemonError when it is another."""
        key = self.read(path)
        if key is None:
            return None
        if spki_sha256(key.public_key()) != spki_sha256(check_public_key(certificate.public_key())):
            raise ArtemonError(f"{path} is not the key of its certificate")
        return key

    def write(self, path: Path, key: PrivateKey) -> None:
        """Put a key into a file, at once and durably. Raises ArtemonError."""
        write_secret(path, private_pem(key, self.passphrases[0] if self.passphrases else b""))


def passphrases(place: str) -> tuple[bytes, ...]:
    """What keys are encrypted with, the newest first: the lines of a file (0600) or, as `credential:NAME`,
    of a credential of systemd. Raises ArtemonError."""
    if not place:
        return ()
    found = tuple(line.strip() for line in (read_kept(place) or b"").splitlines() if line.strip())
    if not found:
        raise ArtemonError(f"{place}: there is nothing to encrypt keys with")
    if any(len(one) < SHORTEST for one in found):
        raise ArtemonError(
            f"{place}: a line has less than {SHORTEST} characters; use: openssl rand -base64 32"
        )
    return found


def new_serial() -> int:
    """A serial number from the system's entropy."""
    return serial_number(os.urandom(SERIAL_BYTES))
