"""A registry in one file: every key of a mesh that has no lease, as it lies, under a checksum."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from artemon.errors import StoreError
from artemon.store.api import Entry, Put
from artemon.store.limits import check_txn

MAGIC = b"artemon-registry-1"
ROOT = re.compile(r"artemon/[^/]+/")


@dataclass(frozen=True, slots=True)
class Archive:
    """root: the prefix that all keys had. revision: of the registry that it came from. items: key and value,
    sorted by key."""

    root: str
    revision: int
    items: tuple[tuple[str, bytes], ...]

    @property
    def digest(self) -> str:
        """Names the content: SHA-256 over keys and values."""
        return digest_of(self.items)


def lasting(entries: Iterable[Entry]) -> tuple[tuple[str, bytes], ...]:
    """Key and value of what belongs to no lease: what has one belongs to somebody who lives elsewhere."""
    return tuple((entry.key, entry.value) for entry in entries if not entry.lease)


def digest_of(items: Sequence[tuple[str, bytes]]) -> str:
    """SHA-256 over keys and values, in order."""
    whole = hashlib.sha256()
    for key, value in items:
        whole.update(f"{len(key)} {len(value)} {key}".encode() + value)
    return whole.hexdigest()


def encoded(archive: Archive) -> bytes:
    """The content of the file."""
    head = {"root": archive.root, "revision": archive.revision, "keys": len(archive.items)}
    lines = [json.dumps([key, base64.b64encode(value).decode()]) for key, value in archive.items]
    body = "\n".join([json.dumps(head), *lines]).encode()
    return b" ".join([MAGIC, hashlib.sha256(body).hexdigest().encode()]) + b"\n" + body


def write(path: Path, archive: Archive) -> None:
    """Write atomically, for the owner's eyes only. Raises StoreError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(encoded(archive))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: Path) -> Archive:
    """What was written. Raises StoreError for a file that is missing, damaged, or something else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    return decoded(content, str(path))


def decoded(content: bytes, path: str) -> Archive:
    """What was written, of a file that errors call `path`. Raises StoreError as `read` does."""
    first, _, body = content.partition(b"\n")
    if not first.startswith(MAGIC + b" "):
        raise StoreError(f"{path}: is not an export of a registry")
    if first.split(b" ")[1] != hashlib.sha256(body).hexdigest().encode():
        raise StoreError(f"{path}: its checksum does not fit: the file is damaged or was cut off")
    try:
        head, *lines = body.decode().split("\n")
        about = json.loads(head)
        items = tuple(
            (str(key), base64.b64decode(value, validate=True)) for key, value in map(json.loads, lines)
        )
        made = Archive(str(about["root"]), int(about["revision"]), items)
        count = int(about["keys"])
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path}: is no whole export of a registry: {error}") from error
    if len(items) != count:
        raise StoreError(f"{path}: holds {len(items)} keys, not {count}")
    _check(path, made)
    return made


def _check(path: str, made: Archive) -> None:
    """Whoever made the file, it is of one mesh, and any registry takes it. Raises StoreError."""
    if not ROOT.fullmatch(made.root):
        raise StoreError(f"{path}: is of {made.root!r}, which is no mesh")
    keys = [key for key, _ in made.items]
    if keys != sorted(set(keys)):
        raise StoreError(f"{path}: its keys are not in order, or one is there twice")
    for key, value in made.items:
        if not key.startswith(made.root):
            raise StoreError(f"{path}: {key!r} is not of {made.root}")
        try:
            check_txn((), [Put(key, value)])
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error
