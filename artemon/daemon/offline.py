"""A root and an intermediate made on a machine without daemons, as files for citadeld."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from artemon.daemon.files import make_private_dir, read_public, read_secret, write_public, write_secret
from artemon.errors import ArtemonError
from artemon.pki.certificate import (
    SERIAL_BYTES,
    Authority,
    chain_pem,
    load_certificates,
    make_intermediate,
    make_root,
    serial_number,
)
from artemon.pki.keys import KeyType, generate_key, load_private_key, private_pem

ROOT, ROOT_KEY, CA, CA_KEY = "root-cert.pem", "root-key.pem", "ca-cert.pem", "ca-key.pem"


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What is made. root, intermediate: lifetimes; key_type: of both."""

    trust_domain: str
    root: timedelta
    intermediate: timedelta
    key_type: KeyType = "p256"


def make_offline(root_dir: Path, replica_dir: Path, wanted: Ceremony, *, now: datetime) -> x509.Certificate:
    """An intermediate for one citadeld in `replica_dir`, with what its data directory needs, under the
    root in `root_dir`, which is made when there is none; the key of the root stays there.

    Raises ArtemonError when the replica has files already, or the root's do not fit.
    """
    if read_public(replica_dir / CA) is not None or read_secret(replica_dir / CA_KEY) is not None:
        raise ArtemonError(f"{replica_dir} has an intermediate already")
    root = _root(root_dir, wanted, now)
    key = generate_key(wanted.key_type)
    made = make_intermediate(
        key.public_key(), root, wanted.trust_domain, serial=_serial(), now=now, lifetime=wanted.intermediate
    )
    make_private_dir(replica_dir)
    write_public(replica_dir / ROOT, chain_pem([root.certificate]))
    write_secret(replica_dir / CA_KEY, private_pem(key))
    write_public(replica_dir / CA, chain_pem([made]))
    return root.certificate


def _root(directory: Path, wanted: Ceremony, now: datetime) -> Authority:
    certificate, key_pem = read_public(directory / ROOT), read_secret(directory / ROOT_KEY)
    if certificate is not None and key_pem is not None:
        return Authority(load_certificates(certificate)[0], load_private_key(key_pem))
    if certificate is not None or key_pem is not None:
        raise ArtemonError(f"{directory} has only one of {ROOT} and {ROOT_KEY}")
    key = generate_key(wanted.key_type)
    made = make_root(key, wanted.trust_domain, serial=_serial(), now=now, lifetime=wanted.root)
    make_private_dir(directory)
    write_secret(directory / ROOT_KEY, private_pem(key))
    write_public(directory / ROOT, chain_pem([made]))
    return Authority(made, key)


def _serial() -> int:
    return serial_number(os.urandom(SERIAL_BYTES))
