"""Unix sockets whose path may be long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for a socket that is good while the block runs, to listen on and to connect to: a socket's
    path ends after 107 bytes, one by way of an open directory need not. Raises OSError when there is no such
    directory."""
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)
