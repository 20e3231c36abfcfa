"""Files that hold secrets, and files that must never be seen half written."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from threading import get_native_id

from artemon.errors import ArtemonError

MAX_FILE = 1024 * 1024
KUBELET_LINK = "..data"
"""What the files of a volume of Kubernetes lead to; it is exchanged when the Secret changes."""
CREDENTIAL = "credential:"


class InsecureFile(ArtemonError):
    """A secret lies where others can read it, or is not a plain file of ours."""


def make_private_dir(path: Path) -> None:
    """Make `path` (0700) with its parents. Raises ArtemonError when it cannot be, InsecureFile when others
    may write into it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise ArtemonError(f"cannot make the directory {path}: {error.strerror}") from error
    if found.st_uid not in {os.geteuid(), 0} or found.st_mode & 0o022:
        raise InsecureFile(f"{path}: others may write into this directory; chown it and chmod 0700")


def read_secret(path: Path) -> bytes | None:
    """The content of a file that only we can read; None when there is none.

    Raises InsecureFile when group or others may touch it, or it is a link, a directory, or someone else's. In
    a volume that a kubelet mounts, files are links, root's, and may be read by the pod's group (`fsGroup`).
    """
    mounted = (path.parent / KUBELET_LINK).is_symlink()
    link = 0 if mounted else os.O_NOFOLLOW
    try:
        handle = os.open(path, os.O_RDONLY | link | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InsecureFile(f"{path}: cannot be read as a plain file: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise InsecureFile(f"{path}: is not a plain file")
        if found.st_uid not in {os.geteuid(), 0}:
            raise InsecureFile(f"{path}: belongs to user {found.st_uid}, not to this process")
        if found.st_mode & (0o037 if mounted and not found.st_uid else 0o077):
            raise InsecureFile(f"{path}: group or others may read it; run: chmod 600 {path}")
        return file.read(MAX_FILE)


def read_credential(name: str, environ: Mapping[str, str]) -> bytes:
    """A credential that systemd passed to this service (systemd.exec(5), LoadCredential=). Raises
    ArtemonError, InsecureFile when it is open to all users."""
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder or "/" in name or name in {"", ".", ".."}:
        raise ArtemonError(f"there is no credential {name}: set LoadCredentialEncrypted={name} in the unit")
    path = Path(folder) / name
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ArtemonError(f"the credential {name} cannot be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())  # systemd lets the service in by an ACL, which shows as group bits
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o007:
            raise InsecureFile(f"{path}: every user may read this credential")
        return file.read(MAX_FILE)


def read_kept(place: str) -> bytes | None:
    """A secret where a setting says that it is: the path of a file that only we can read (None when there is
    none), or `credential:NAME` of systemd. Raises ArtemonError, InsecureFile."""
    if place.startswith(CREDENTIAL):
        return read_credential(place.removeprefix(CREDENTIAL), os.environ)
    return read_secret(Path(place))


def read_public(path: Path) -> bytes | None:
    """The content of a file; None when there is none. Raises ArtemonError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtemonError(f"{path}: cannot be read: {error.strerror}") from error


def write_secret(path: Path, content: bytes) -> None:
    """Replace `path` at once and durably by a file (0600) with `content`. Raises ArtemonError."""
    _replace(path, content, 0o600)


def write_public(path: Path, content: bytes) -> None:
    """Replace `path` at once and durably by a file (0644) with `content`. Raises ArtemonError."""
    _replace(path, content, 0o644)


def _replace(path: Path, content: bytes, mode: int) -> None:
    made = path.with_name(f".{path.name}.{os.getpid()}.{get_native_id()}")  # threads may write one file
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        made.unlink(missing_ok=True)
        with os.fdopen(os.open(made, flags, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
        sync_dir(path.parent)
    except OSError as error:
        raise ArtemonError(f"{path}: cannot be written: {error.strerror}") from error


def sync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
