"""This replica's keys: an intermediate that exists nowhere else, under the root of an authority.

Files in the data directory: ca-cert.pem, ca-key.pem (0600): the intermediate. retired/: earlier
intermediates, whose revocation lists are still signed until they expire. What the authority keeps there, see
`citadeld.authorities.own`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from artemon.daemon.files import make_private_dir, read_public, read_secret, write_public, write_secret
from artemon.errors import ArtemonError
from artemon.pki.certificate import (
    Authority,
    chain_pem,
    fingerprint,
    load_certificates,
    make_intermediate,
    validity_of,
)
from artemon.pki.errors import CertificateRefused
from artemon.pki.held import KeySigning, held
from artemon.pki.keys import PrivateKey, PublicKey, generate_key
from artemon.pki.renewal import renewal_time
from artemon.pki.request import IntermediateRequest, ask
from artemon.pki.verify import check_links, path_length
from citadeld.authorities.api import Place, Source
from citadeld.authorities.own import ROOT, OwnRoot
from citadeld.keyfiles import KeyFiles, new_serial

CA, CA_KEY, NEXT_KEY = "ca-cert.pem", "ca-key.pem", "next-key.pem"
RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long the authorities of this replica live."""

    root: timedelta
    intermediate: timedelta


@dataclass(frozen=True, slots=True)
class KeyRoom:
    """The data directory with this replica's intermediate. source: who signs it; None: the root that lies
    there as well."""

    directory: Path
    trust_domain: str
    lifetimes: Lifetimes
    now: Callable[[], datetime]
    keys: KeyFiles = field(default_factory=KeyFiles)
    source: Source | None = None

    @property
    def place(self) -> Place:
        """What an authority is lent."""
        return Place(self.directory, self.trust_domain, self.keys, self.now, self.lifetimes.root)

    @property
    def authority(self) -> Source:
        """Who signs."""
        return self.source or OwnRoot(self.place)

    def beside(self, directory: Path) -> KeyRoom:
        """A room of a root of its own in another directory."""
        return replace(self, directory=directory, source=None)

    def has_root(self) -> bool:
        """Whether there is a root here already."""
        return self.authority.root() is not None

    def make_root(self) -> x509.Certificate:
        """A new root with its key, written down. Raises ArtemonError when there is one."""
        return self.authority.make_root()

    def root(self) -> x509.Certificate:
        """The root, whether or not it is valid now. Raises ArtemonError when there is none."""
        root = self.authority.root()
        if root is None:
            raise ArtemonError(f"{self.directory / ROOT} is missing")
        return root

    def present(self) -> Authority | None:
        """The intermediate that is here, or the authority that signs itself, if any. Raises ArtemonError when
        files do not fit."""
        above = self.authority.authority()
        if above is not None and path_length(above.certificate) == 0:
            return above
        return self._intermediate(self.root())

    def load(self) -> Authority:
        """The intermediate to sign with; made when there is none or half of its life is over. An authority
        that may have none below it signs itself.

        Raises ArtemonError: no root, files that do not fit together, keys readable by others, an
        intermediate at its end without an authority to make the next.
        """
        make_private_dir(self.directory)
        root = self._root()
        found = self._intermediate(root)
        if found is not None and not self._is_old(found):
            return found
        above = self.authority.authority()
        if above is not None and path_length(above.certificate) == 0:
            return above
        if above is not None:
            return self._make_intermediate(above)
        if found is not None and validity_of(found.certificate).contains(self.now()):
            return found
        raise ArtemonError(
            f"{self.directory}: there is neither a valid {CA} with {CA_KEY} nor an authority "
            "to make one with (root-key.pem)"
        )

    def retired(self) -> list[Authority]:
        """Earlier intermediates, for their revocation lists; those that have expired are removed."""
        found = []
        for path in sorted((self.directory / RETIRED).glob("*-cert.pem")):
            key_path = path.with_name(path.name.replace("-cert", "-key"))
            pem, key = read_public(path), self.keys.read(key_path)
            chain = load_certificates(pem) if pem else ()
            if chain and key and validity_of(chain[0]).not_after > self.now():
                found.append(Authority(chain[0], held(KeySigning(key)), chain[1:]))
            else:
                path.unlink(missing_ok=True)
                key_path.unlink(missing_ok=True)
        return found

    def is_half_over(self) -> bool:
        """Whether there is no intermediate here, or half of its life is over."""
        found = self.present()
        return found is None or self._is_old(found)

    def ask(self, root: str, by: Authority) -> IntermediateRequest:
        """A request for an intermediate under `root` (SHA-256), whose key waits here in the meantime."""
        make_private_dir(self.directory)
        key = self.keys.read(self.directory / NEXT_KEY)
        if key is None:
            key = generate_key(self.keys.key_type)
            self.keys.write(self.directory / NEXT_KEY, key)
        return ask(key, root, by)

    def adopt(self, chain: Sequence[x509.Certificate], root: str) -> None:
        """Take what was granted: an intermediate for the key that waits here, with what leads to `root`.
        Raises CertificateRefused when it is something else."""
        key = self.keys.of(self.directory / NEXT_KEY, chain[0])
        if key is None or len(chain) < 2 or fingerprint(chain[-1]) != root:
            raise CertificateRefused("the intermediate that was granted is not the one that was asked for")
        check_links(chain)
        self._put(key, chain[:-1])
        if not self.has_root():
            write_public(self.directory / ROOT, chain_pem([chain[-1]]))
        (self.directory / NEXT_KEY).unlink(missing_ok=True)

    def sign_intermediate(self, key: PublicKey, above: Authority) -> x509.Certificate:
        """An intermediate for `key`, of this replica or another. Raises CertificateRefused."""
        return make_intermediate(
            key,
            above,
            self.trust_domain,
            serial=new_serial(),
            now=self.now(),
            lifetime=self.lifetimes.intermediate,
        )

    def _is_old(self, one: Authority) -> bool:
        """Whether half of its life is over."""
        now = self.now()
        return renewal_time(validity_of(one.certificate), now=now, jitter=0.5) <= now

    def _put(self, key: PrivateKey, chain: Sequence[x509.Certificate]) -> None:
        """Write an intermediate down, with what leads to the root, in place of the one that is here."""
        self._retire()
        (self.directory / CA).unlink(missing_ok=True)  # a crash leaves a key without a certificate: made anew
        self.keys.write(self.directory / CA_KEY, key)
        write_public(self.directory / CA, chain_pem(chain))

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
        key = self.keys.of(self.directory / CA_KEY, chain[0])
        if key is None:
            raise ArtemonError(f"{self.directory / CA_KEY} is missing; remove {CA} to have both made anew")
        check_links([*chain, root])
        return Authority(chain[0], held(KeySigning(key)), (*chain[1:], root))

    def _make_intermediate(self, above: Authority) -> Authority:
        key = generate_key(self.keys.key_type)
        certificate = self.sign_intermediate(key.public_key(), above)
        issuers = (above.certificate, *above.issuers)
        self._put(key, [certificate, *issuers[:-1]])
        return Authority(certificate, held(KeySigning(key)), issuers)


def describe(certificate: x509.Certificate) -> str:
    """A certificate for people: its fingerprint and end."""
    return f"{fingerprint(certificate)} (until {certificate.not_valid_after_utc.date()})"
