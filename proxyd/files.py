"""Files that hold secrets or must survive a crash."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artemon.errors import ArtemonError


def write_private(path: Path, content: bytes) -> None:
    """Put `content` at `path` whole or not at all: 0600, on disk before it takes the place of the old one."""
    temporary = path.with_name(f".{path.name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def private_directory(path: Path) -> Path:
    """Make it, for us alone. Raises ArtemonError when it cannot be made or belongs to somebody else."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise ArtemonError(f"{path} cannot be made a private directory: {error.strerror}") from error
    return path


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Hold `directory` against a second process of ours. Raises ArtemonError when one has it."""
    with (directory / "proxyd.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ArtemonError(
                f"{directory} is in use by another proxyd; give each its own run_dir"
            ) from error
        yield
