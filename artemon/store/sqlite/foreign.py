"""SQLite's errors as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from artemon.errors import StoreError, Unavailable

BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def translated(path: str, otherwise: type[StoreError] = Unavailable) -> Iterator[None]:
    """Busy and I/O trouble are `otherwise`, damage is a StoreError."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.InterfaceError) as error:
        raise otherwise(f"registry {path}: {error}") from error
    except sqlite3.Error as error:
        raise StoreError(f"registry {path}: {error}; restore it from a backup, or remove it") from error
