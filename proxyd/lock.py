"""One proxyd for one run directory."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artemon.errors import ArtemonError


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
