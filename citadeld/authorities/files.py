"""An authority that there is already, as files (`files:/etc/pki/artemon`): ca-cert.pem (the authority
first, then what leads to the root), ca-key.pem (0600) and root-cert.pem, or as its settings name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from pydantic import Field

from artemon.daemon.files import read_public
from artemon.errors import ArtemonError
from artemon.pki.certificate import Authority, load_certificates
from artemon.pki.held import KeySigning, held
from artemon.pki.verify import check_links
from citadeld.authorities.api import AuthoritySettings, Place, Source
from citadeld.keyfiles import KeyFiles, passphrases


class FilesSettings(AuthoritySettings):
    """Settings of an authority in files. Relative names lie in the directory of its URL."""

    certificate: str = Field("ca-cert.pem", description="The authority, with what leads to the root (PEM).")
    key: str = Field("ca-key.pem", description="Its key (PEM, 0600); absent: kept elsewhere at the moment.")
    root: str = Field("root-cert.pem", description="The root (PEM).")
    password: str = Field(
        "", description="What the key is encrypted with: a file (0600), or credential:NAME of systemd."
    )


@dataclass(frozen=True, slots=True)
class FilesAuthority:
    """Reads the files for each use: they may be replaced."""

    folder: Path
    settings: FilesSettings

    def root(self) -> x509.Certificate | None:
        return self._certificates(self.settings.root)[0]

    def authority(self) -> Authority | None:
        root = self._certificates(self.settings.root)[0]
        chain = [one for one in self._certificates(self.settings.certificate) if one != root] or [root]
        links = chain if chain[-1] == root else [*chain, root]
        check_links(links)
        key = self._keys().of(self.folder / self.settings.key, chain[0])
        return None if key is None else Authority(chain[0], held(KeySigning(key)), tuple(links[1:]))

    def make_root(self) -> x509.Certificate:
        raise ArtemonError("the root is another authority's (files:): it is not made or rotated here")

    def _keys(self) -> KeyFiles:
        return KeyFiles(passphrases(self.settings.password), rewrite=False)

    def _certificates(self, name: str) -> tuple[x509.Certificate, ...]:
        pem = read_public(self.folder / name)
        if pem is None:
            raise ArtemonError(f"{self.folder / name} is missing")
        return load_certificates(pem)


class _Files:
    settings = FilesSettings

    def open(self, address: str, settings: AuthoritySettings, place: Place) -> Source:
        assert isinstance(settings, FilesSettings)
        made = FilesAuthority(Path(address.partition(":")[2]), settings)
        made.authority()
        return made


plugin = _Files()
