"""The built-in authority (`own:`): a root in the data directory, root-cert.pem and root-key.pem (0600).
Without the key, the operator keeps it elsewhere and signs intermediates there."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from artemon.daemon.files import make_private_dir, read_public, read_secret, write_public
from artemon.errors import ArtemonError
from artemon.pki.certificate import Authority, chain_pem, load_certificates, make_root
from artemon.pki.held import KeySigning, held
from artemon.pki.keys import generate_key
from citadeld.authorities.api import AuthoritySettings, Place, Source
from citadeld.keyfiles import new_serial

ROOT, ROOT_KEY = "root-cert.pem", "root-key.pem"


@dataclass(frozen=True, slots=True)
class OwnRoot:
    """The root of one directory."""

    place: Place

    def root(self) -> x509.Certificate | None:
        pem = read_public(self.place.directory / ROOT)
        return None if pem is None else load_certificates(pem)[0]

    def authority(self) -> Authority | None:
        root = self.root()
        key = None if root is None else self.place.keys.of(self.place.directory / ROOT_KEY, root)
        return None if root is None or key is None else Authority(root, held(KeySigning(key)))

    def make_root(self) -> x509.Certificate:
        place = self.place
        make_private_dir(place.directory)
        if self.root() is not None or read_secret(place.directory / ROOT_KEY) is not None:
            raise ArtemonError(f"{place.directory} has a root already")
        key = generate_key(place.keys.root_type)
        root = make_root(
            key, place.trust_domain, serial=new_serial(), now=place.now(), lifetime=place.root_lifetime
        )
        place.keys.write(place.directory / ROOT_KEY, key)
        write_public(place.directory / ROOT, chain_pem([root]))
        return root


class _Own:
    settings = AuthoritySettings

    def open(self, address: str, settings: AuthoritySettings, place: Place) -> Source:
        return OwnRoot(place)


plugin = _Own()
