"""An identity, and how it lies on disk: key.pem (0600), cert-chain.pem, root-cert.pem."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature

from artemon.daemon.files import (
    make_private_dir,
    read_public,
    read_secret,
    sync_dir,
    write_public,
    write_secret,
)
from artemon.errors import ArtemonError
from artemon.pki.certificate import load_certificates, validity_of
from artemon.pki.errors import CertificateRefused
from artemon.pki.keys import check_public_key, load_private_key, spki_sha256
from artemon.pki.renewal import Validity
from artemon.pki.spiffe import SpiffeId
from artemon.pki.verify import verify_chain

KEY, NEXT_KEY, CHAIN, ROOTS = "key.pem", "key.pem.next", "cert-chain.pem", "root-cert.pem"


@dataclass(frozen=True, slots=True)
class Identity:
    """A key, its certificate and what it trusts, all PEM. cert_chain_pem: the leaf first, no root."""

    spiffe_id: SpiffeId
    cert_chain_pem: bytes
    key_pem: bytes
    roots_pem: bytes
    not_before: datetime
    not_after: datetime

    def __repr__(self) -> str:
        return f"Identity({self.spiffe_id}, until {self.not_after.isoformat()})"

    @property
    def validity(self) -> Validity:
        """From when until when the certificate is valid."""
        return Validity(self.not_before, self.not_after)


def make_identity(
    wanted: SpiffeId, *, chain_pem: bytes, key_pem: bytes, roots_pem: bytes, now: datetime
) -> Identity:
    """The identity, if the parts fit together, are for `wanted` and valid now. Raises CertificateRefused."""
    chain = load_certificates(chain_pem)
    found = verify_chain(chain, load_certificates(roots_pem), now=now)
    if found != wanted:
        raise CertificateRefused(f"the certificate is for {found}, not for {wanted}")
    key = load_private_key(key_pem).public_key()
    if spki_sha256(check_public_key(chain[0].public_key())) != spki_sha256(key):
        raise CertificateRefused("the certificate is for another key")
    validity = validity_of(chain[0])
    return Identity(wanted, chain_pem, key_pem, roots_pem, validity.not_before, validity.not_after)


def is_under_first_root(identity: Identity) -> bool:
    """Whether the chain leads to the first of the roots: the one under which certificates are issued now."""
    last = load_certificates(identity.cert_chain_pem)[-1]
    first = load_certificates(identity.roots_pem)[0]
    try:
        last.verify_directly_issued_by(first)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def load_identity(directory: Path, wanted: SpiffeId, now: datetime) -> Identity | None:
    """The identity on disk; None when there is none.

    Raises CertificateRefused or KeyRefused when it is expired, foreign or broken (join anew), InsecureFile
    when others may read the key (do not start).
    """
    chain, roots = read_public(directory / CHAIN), read_public(directory / ROOTS)
    keys = [read_secret(directory / name) for name in (KEY, NEXT_KEY)]
    if chain is None or roots is None or keys == [None, None]:
        return None
    refused: ArtemonError | None = None
    for key_pem in keys:  # the next key fits when a renewal was cut off before its last step
        if key_pem is None:
            continue
        try:
            return make_identity(wanted, chain_pem=chain, key_pem=key_pem, roots_pem=roots, now=now)
        except ArtemonError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def save_identity(directory: Path, identity: Identity) -> None:
    """Write the identity so that a crash at any point leaves the old or the new one. Raises ArtemonError."""
    make_private_dir(directory)
    write_public(directory / ROOTS, identity.roots_pem)
    write_secret(directory / NEXT_KEY, identity.key_pem)
    write_public(directory / CHAIN, identity.cert_chain_pem)
    (directory / NEXT_KEY).replace(directory / KEY)
    sync_dir(directory)


def load_roots(directory: Path) -> bytes | None:
    """The roots that an earlier certificate came with; None when there are none."""
    return read_public(directory / ROOTS)
