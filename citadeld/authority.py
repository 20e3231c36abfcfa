"""This replica's keys: the root (or the operator's), and an intermediate that exists nowhere else.

Files in the data directory: root-cert.pem, root-key.pem (0600; absent where the operator keeps it elsewhere),
ca-cert.pem, ca-key.pem (0600): the intermediate. retired/: earlier intermediates, whose revocation lists are
still signed until they expire.
"""

from __future__ import annotations

import os
from collections.abc import Callable
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
    fingerprint,
    load_certificates,
    make_intermediate,
    make_root,
    serial_number,
    validity_of,
)
from artemon.pki.keys import (
    PrivateKey,
    check_public_key,
    generate_key,
    load_private_key,
    private_pem,
    spki_sha256,
)
from artemon.pki.renewal import renewal_time
from artemon.pki.verify import check_link

ROOT, ROOT_KEY, CA, CA_KEY = "root-cert.pem", "root-key.pem", "ca-cert.pem", "ca-key.pem"
RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long the authorities of this replica live."""

    root: timedelta
    intermediate: timedelta


@dataclass(frozen=True, slots=True)
class KeyRoom:
    """The data directory with the authorities' keys."""

    directory: Path
    trust_domain: str
    lifetimes: Lifetimes
    now: Callable[[], datetime]

    def has_root(self) -> bool:
        """Whether there is a root here already."""
        return read_public(self.directory / ROOT) is not None

    def make_root(self) -> x509.Certificate:
        """A new root with its key, written down. Raises ArtemonError when there is one."""
        make_private_dir(self.directory)
        if self.has_root() or read_secret(self.directory / ROOT_KEY) is not None:
            raise ArtemonError(f"{self.directory} has a root already")
        key = generate_key("p384")
        root = make_root(
            key,
            self.trust_domain,
            serial=new_serial(),
            now=self.now(),
            lifetime=self.lifetimes.root,
        )
        write_secret(self.directory / ROOT_KEY, private_pem(key))
        write_public(self.directory / ROOT, chain_pem([root]))
        return root

    def root(self) -> x509.Certificate:
        """The root, whether or not it is valid now. Raises ArtemonError when there is none."""
        pem = read_public(self.directory / ROOT)
        if pem is None:
            raise ArtemonError(f"{self.directory / ROOT} is missing")
        return load_certificates(pem)[0]

    def present(self) -> Authority | None:
        """The intermediate that is here, if any. Raises ArtemonError when its files do not fit."""
        return self._intermediate(self.root())

    def load(self) -> Authority:
        """The intermediate to sign with; made when there is none or half of its life is over.

        Raises ArtemonError: no root, files that do not fit together, keys readable by others, an
        intermediate at its end without the root's key to make the next.
        """
        make_private_dir(self.directory)
        root = self._root()
        found = self._intermediate(root)
        if (
            found is not None
            and renewal_time(validity_of(found.certificate), now=self.now(), jitter=0.5) > self.now()
        ):
            return found
        key = self._key(ROOT_KEY, root)
        if key is not None:
            return self._make_intermediate(Authority(root, key))
        if found is not None and validity_of(found.certificate).contains(self.now()):
            return found
        raise ArtemonError(
            f"{self.directory}: there is neither a valid {CA} with {CA_KEY} nor {ROOT_KEY} to make one with"
        )

    def retired(self) -> list[Authority]:
        """Earlier intermediates, for their revocation lists; those that have expired are removed."""
        found = []
        for path in sorted((self.directory / RETIRED).glob("*-cert.pem")):
            key_path = path.with_name(path.name.replace("-cert", "-key"))
            pem, key = read_public(path), read_secret(key_path)
            chain = load_certificates(pem) if pem else ()
            if chain and key and validity_of(chain[0]).not_after > self.now():
                found.append(Authority(chain[0], load_private_key(key), chain[1:]))
            else:
                path.unlink(missing_ok=True)
                key_path.unlink(missing_ok=True)
        return found

    def _retire(self) -> None:
        """Put the intermediate aside before another takes its place."""
        pem, key = read_public(self.directory / CA), read_secret(self.directory / CA_KEY)
        if pem is None or key is None:
            return
        make_private_dir(self.directory / RETIRED)
        name = fingerprint(load_certificates(pem)[0])[:32]
        write_secret(self.directory / RETIRED / f"{name}-key.pem", key)
        write_public(self.directory / RETIRED / f"{name}-cert.pem", pem)

    def _root(self) -> x509.Certificate:
        root = self.root()
        if not validity_of(root).contains(self.now()):
            raise ArtemonError(f"{self.directory / ROOT} is expired or not valid yet")
        return root

    def _intermediate(self, root: x509.Certificate) -> Authority | None:
        pem = read_public(self.directory / CA)
        if pem is None:
            return None
        chain = [one for one in load_certificates(pem) if one != root]
        key = self._key(CA_KEY, chain[0])
        if key is None:
            raise ArtemonError(f"{self.directory / CA_KEY} is missing; remove {CA} to have both made anew")
        for depth, (child, parent) in enumerate(zip(chain, [*chain[1:], root], strict=True)):
            check_link(child, parent, depth=depth)
        return Authority(chain[0], key, (*chain[1:], root))

    def _key(self, name: str, certificate: x509.Certificate) -> PrivateKey | None:
        pem = read_secret(self.directory / name)
        if pem is None:
            return None
        key = load_private_key(pem)
        if spki_sha256(key.public_key()) != spki_sha256(check_public_key(certificate.public_key())):
            raise ArtemonError(f"{self.directory / name} is not the key of its certificate")
        return key

    def _make_intermediate(self, root: Authority) -> Authority:
        key = generate_key("p256")
        certificate = make_intermediate(
            key.public_key(),
            root,
            self.trust_domain,
            serial=new_serial(),
            now=self.now(),
            lifetime=self.lifetimes.intermediate,
        )
        self._retire()
        (self.directory / CA).unlink(missing_ok=True)  # a crash leaves a key without a certificate: made anew
        write_secret(self.directory / CA_KEY, private_pem(key))
        write_public(self.directory / CA, chain_pem([certificate]))
        return Authority(certificate, key, (root.certificate,))


def new_serial() -> int:
    """A serial number from the system's entropy."""
    return serial_number(os.urandom(SERIAL_BYTES))


def describe(certificate: x509.Certificate) -> str:
    """A certificate for people: its fingerprint and end."""
    return f"{fingerprint(certificate)} (until {certificate.not_valid_after_utc.date()})"
