"""The file of the embedded registry: tables, and how a file is opened without taking its write lock."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from pathlib import Path

from artemon.errors import StoreError
from artemon.store.sqlite.foreign import BUSY

APPLICATION_ID = 0x4172746D
FORMAT = 1
NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "ocfs2"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone"),
    )
)

# log has no values: a watcher that is behind gets the newest state of each key, and every delete.
TABLES = f"""
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), uuid TEXT NOT NULL, revision INTEGER NOT NULL,
  compacted INTEGER NOT NULL);
CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL,
  created INTEGER NOT NULL, lease TEXT NOT NULL);
CREATE INDEX kv_lease ON kv (lease) WHERE lease != '';
CREATE TABLE log (rev INTEGER NOT NULL, key TEXT NOT NULL, gone INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (rev, key)) WITHOUT ROWID;
CREATE TABLE lease (id TEXT PRIMARY KEY, ttl REAL NOT NULL, deadline REAL NOT NULL, boot TEXT NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""


WAL_TRIES, WAL_PAUSE = 100, 0.01
"""Together the second that SQLite waits for any other lock."""


def connect(path: str, *, synchronous: str) -> sqlite3.Connection:
    """Open `path` (":memory:" for a private one), creating the tables when it is new. Raises StoreError."""
    if path != ":memory:":
        _prepare(Path(path))
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        if path != ":memory:":
            _write_ahead(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a new file to WAL. SQLite does not wait for another process that does the same: we do."""
    for _ in range(WAL_TRIES):
        try:
            if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
                return
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in BUSY:
                raise
            time.sleep(WAL_PAUSE)
    connection.execute("PRAGMA journal_mode = WAL")


def _prepare(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreError(f"{path}: the directory {path.parent} does not exist; create it first")
    if kind := network_filesystem(path.parent):
        raise StoreError(
            f"{path}: lies on a network file system ({kind}), where locks cannot be trusted;"
            " use a local disk, or etcd for more than one machine"
        )
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error


def _check(connection: sqlite3.Connection, path: str) -> None:
    if _identity(connection) == (0, 0):
        _create(connection, path)
    application, version = _identity(connection)
    if application != APPLICATION_ID:
        raise StoreError(f"{path}: is a SQLite file of another program")
    if version != FORMAT:
        raise StoreError(f"{path}: has format {version}, this version reads format {FORMAT}; upgrade Artemon")


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    return application, int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _identity(connection) == (0, 0):
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise StoreError(f"{path}: is a SQLite file of another program")
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES (1, ?, 0, 0)", (uuid.uuid4().hex,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def network_filesystem(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The kind of network file system that `directory` lies on, or "" (proc(5), mountinfo)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = directory.resolve()
    best, kind = -1, ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(fields.split()[4].encode("latin-1", "replace").decode("unicode_escape"))
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), rest.split()[0]
    return kind if kind in NETWORK else ""
