"""The file of the embedded registry: one connection, and transactions that wait fairly for the write lock."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from artemon.errors import Unknown
from artemon.store.sqlite.foreign import BUSY, translated
from artemon.store.sqlite.schema import connect

MEMORY = ":memory:"
NOWHERE, ABSENT = (-2, -2), (-1, -1)
"""As the identity of a file: not opened; not there."""


class File:
    """Every transaction is of the file that is at `path` then: someone may have removed or restored it.

    `now`: the clock that deadlines are of.
    """

    def __init__(self, path: str, *, synchronous: str, now: Callable[[], float]) -> None:
        self._path, self._synchronous, self._now = path, synchronous, now
        self._open()

    def _open(self) -> None:
        self._identity = NOWHERE
        with translated(self._path):
            self.sql = connect(self._path, synchronous=self._synchronous)
        self._identity = self._stat()

    def _stat(self) -> tuple[int, int]:
        if self._path == MEMORY:
            return (0, 0)
        try:
            stat = os.stat(self._path)
        except OSError:
            return ABSENT
        return (stat.st_dev, stat.st_ino)

    def _follow(self) -> None:
        if self._stat() != self._identity:
            self.sql.close()
            self._open()

    def close(self) -> None:
        """Release the file."""
        self.sql.close()

    def data_version(self) -> int | None:
        """A number that another's commit changes; None when another file is at the path. Takes no lock."""
        if self._stat() != self._identity:
            return None
        with translated(self._path):
            return int(self.sql.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One state of the file. Raises StoreError."""
        self._follow()
        with translated(self._path):
            self.sql.execute("BEGIN")
            try:
                yield
            finally:
                self._roll_back()

    @contextmanager
    def writing(self, deadline: float) -> Iterator[None]:
        """Applied whole at the end, or not at all when the body raises. Raises Unavailable when the write
        lock is not to be had until `deadline`, Unknown when the end failed."""
        self._follow()
        with translated(self._path):
            self._begin(deadline)
            try:
                yield
            except BaseException:
                self._roll_back()
                raise
        with translated(self._path, Unknown):
            try:
                self.sql.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self.sql.in_transaction:
            self.sql.execute("ROLLBACK")

    def _begin(self, deadline: float) -> None:
        """Take the write lock. Short random waits instead of SQLite's growing ones: fairer to newcomers."""
        self.sql.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    self.sql.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF not in BUSY or self._now() >= deadline:
                        raise
                time.sleep(random.uniform(0.0005, 0.005))  # noqa: S311
        finally:
            self.sql.execute("PRAGMA busy_timeout = 1000")
