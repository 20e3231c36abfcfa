"""The last snapshot on disk, so that a daemon can start while the registry cannot be reached."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from pathlib import Path

from artemon.errors import StoreError
from artemon.store.api import Entry, Position, Snapshot

MAGIC = b"artemon-snapshot-1"


def save(path: Path, prefix: str, snapshot: Snapshot) -> None:
    """Write atomically: a reader finds the old file or the new one, whole. Raises OSError."""
    head = {"prefix": prefix, "epoch": snapshot.position.epoch, "revision": snapshot.position.revision}
    body = b"\n".join([json.dumps(head).encode(), *map(_line, snapshot.entries)])
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(b" ".join([MAGIC, hashlib.sha256(body).hexdigest().encode()]) + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def load(path: Path, prefix: str) -> Snapshot | None:
    """What was saved for `prefix`; None when there is no file. Raises StoreError for one that is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    head, _, body = content.partition(b"\n")
    if head != b" ".join([MAGIC, hashlib.sha256(body).hexdigest().encode()]):
        raise StoreError(f"{path}: is damaged or not a saved snapshot; it is not used")
    first, *lines = body.split(b"\n")
    about = json.loads(first)
    if about["prefix"] != prefix:
        raise StoreError(f"{path}: is of the prefix {about['prefix']}, not {prefix}; it is not used")
    position = Position(about["epoch"], about["revision"])
    return Snapshot(tuple(map(_entry, lines)), position, "saved")


def _line(entry: Entry) -> bytes:
    value = base64.b64encode(entry.value).decode("ascii")
    return json.dumps([entry.key, value, entry.version, entry.created, entry.lease]).encode()


def _entry(line: bytes) -> Entry:
    key, value, version, created, lease = json.loads(line)
    return Entry(key, base64.b64decode(value), version, created, lease)
