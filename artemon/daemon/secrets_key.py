"""The key that Secrets in the registry are encrypted with: a file beside the registry, never in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from artemon.daemon.files import make_private_dir, read_kept, read_secret, write_secret
from artemon.errors import ArtemonError
from artemon.pki.sealing import Keyring, Vault, new_key_line

NO_KEY = "this mesh keeps no Secrets: set secrets_key_file to a file (0600) that galleyd and pilotd share"


def make_key_file(path: Path) -> None:
    """A new key in `path` (0600), unless there is one. Raises ArtemonError."""
    if read_secret(path) is None:
        make_private_dir(path.parent)
        write_secret(path, f"{new_key_line(os.urandom)}\n".encode())


def load_keyring(place: str) -> Keyring:
    """The keys in a file (0600) or, as `credential:NAME`, in a credential of systemd, the newest first.
    Raises ArtemonError."""
    content = read_kept(place)
    if content is None:
        raise ArtemonError(f"{place}: there is no key for Secrets; `meshctl up` makes one, or copy galleyd's")
    try:
        return Keyring.parse(content.decode("ascii", "replace"))
    except ArtemonError as error:
        raise ArtemonError(f"{place}: {error}") from error


def vault_of(mesh: str, key_file: str) -> Vault:
    """What seals and opens Secrets of `mesh`. The file is read each time, so that keys may change; without
    one, every call says why it cannot be done."""
    return Vault(mesh, _keys(key_file), entropy=os.urandom)


def _keys(key_file: str) -> Callable[[], Keyring]:
    def none() -> Keyring:
        raise ArtemonError(NO_KEY)

    return (lambda: load_keyring(key_file)) if key_file else none
