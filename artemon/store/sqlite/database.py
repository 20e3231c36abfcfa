"""The embedded registry's transactions, synchronous: one object per thread that uses it."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from artemon.errors import LeaseGone
from artemon.store.api import ABSENT, Batch, Check, Deleted, Entry, Op, Position, Put, Snapshot, TxnResult
from artemon.store.limits import end_of
from artemon.store.sqlite.file import File

COLUMNS = "key, value, version, created, lease"


@dataclass(frozen=True, slots=True)
class Retention:
    """How much history is kept for watchers that are behind: the smaller of both."""

    revisions: int = 10_000
    seconds: float = 3600.0


class Database:
    """One connection. `now`: seconds since boot `boot`; `wall`: seconds of the calendar.

    Every method takes part in one transaction of SQLite; those that write wait for the write lock until
    `deadline` (by `now`) and raise Unavailable after it.
    """

    def __init__(
        self,
        path: str,
        *,
        synchronous: str = "NORMAL",
        retention: Retention = Retention(),
        now: Callable[[], float],
        boot: str,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = File(path, synchronous=synchronous, now=now)
        self._retention, self._now, self._boot, self._wall = retention, now, boot, wall
        self._last, self._resets, self._seen = ("", 0), 0, 0

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    @property
    def _sql(self) -> sqlite3.Connection:
        return self._file.sql

    # -- reading ----------------------------------------------------------------------------------------

    def get(self, key: str) -> Entry | None:
        """The entry now."""
        with self._file.reading():
            row = self._sql.execute(f"SELECT {COLUMNS} FROM kv WHERE key = ?", (key,)).fetchone()  # noqa: S608
        return Entry(*row) if row else None

    def list(self, prefix: str, reason: str = "start") -> Snapshot:
        """Everything under `prefix` at one position."""
        with self._file.reading():
            position = self._place(*self._history())
            rows = self._sql.execute(
                f"SELECT {COLUMNS} FROM kv WHERE key >= ? AND key < ? ORDER BY key",  # noqa: S608
                (prefix, end_of(prefix)),
            ).fetchall()
        return Snapshot(tuple(Entry(*row) for row in rows), position, reason)

    def changes(self, prefix: str, since: Position) -> Batch | Snapshot:
        """What happened under `prefix` after `since`; a Snapshot where the history does not reach back."""
        with self._file.reading():
            position = self._place(*self._history())
            compacted = self._meta("compacted")
            rows = self._sql.execute(
                "SELECT l.rev, l.gone, l.key, kv.value, kv.version, kv.created, kv.lease FROM log l"
                " LEFT JOIN kv ON kv.key = l.key AND kv.version = l.rev"
                " WHERE l.rev > ? AND l.key >= ? AND l.key < ? ORDER BY l.rev, l.key",
                (since.revision, prefix, end_of(prefix)),
            ).fetchall()
        if position.epoch != since.epoch:
            return self.list(prefix, "reset")
        if since.revision < compacted:
            return self.list(prefix, "compacted")
        found = (Deleted(row[2], row[0]) if row[1] else Entry(*row[2:]) for row in rows if row[1] or row[4])
        return Batch(tuple(found), position)

    def moved(self) -> bool:
        """Whether another connection wrote since the last call, or the file is another one. Takes no lock."""
        version = self._file.data_version()
        seen, self._seen = self._seen, version or 0
        return version is None or seen != version

    # -- writing ----------------------------------------------------------------------------------------

    def txn(self, checks: Sequence[Check], ops: Sequence[Op], deadline: float) -> TxnResult:
        """All operations if every check holds, else none."""
        with self._file.writing(deadline):
            self._sweep()
            failed = tuple(check.key for check in checks if not self._holds(check))
            if not failed:
                self._apply(ops)
            history = self._history()
        return TxnResult(not failed, self._place(*history), failed)

    def grant(self, ttl: float, deadline: float) -> str:
        """A new lease; its id."""
        name = secrets.token_hex(8)
        with self._file.writing(deadline):
            row = (name, ttl, self._now() + ttl, self._boot)
            self._sql.execute("INSERT INTO lease VALUES (?, ?, ?, ?)", row)
        return name

    def renew(self, lease: str, deadline: float) -> bool:
        """Whether the lease still lived; then it lives for its ttl from now."""
        with self._file.writing(deadline):
            self._sweep()
            done = self._sql.execute(
                "UPDATE lease SET deadline = ? + ttl, boot = ? WHERE id = ?", (self._now(), self._boot, lease)
            )
            return done.rowcount == 1

    def revoke(self, lease: str, deadline: float) -> None:
        """End a lease and delete its keys; one that is gone is no failure."""
        with self._file.writing(deadline):
            self._expire([lease])

    def maintain(self, deadline: float) -> bool:
        """Delete what expired leases hold and forget old history; whether anything was done."""
        with self._file.reading():
            due = self._sql.execute(
                "SELECT 1 FROM lease WHERE deadline <= ? OR boot != ?", (self._now(), self._boot)
            ).fetchone()
            oldest = self._sql.execute("SELECT rev, at FROM log ORDER BY rev LIMIT 1").fetchone()
            old = oldest and self._horizon() >= oldest[0]
        if not due and not old:
            return False
        with self._file.writing(deadline):
            self._sweep()
            self._compact()
        return True

    def compact(self, deadline: float) -> None:
        """Forget history that the retention does not ask for."""
        with self._file.writing(deadline):
            self._compact()

    # -- inside a transaction ---------------------------------------------------------------------------

    def _meta(self, column: str) -> int:
        return int(self._sql.execute(f"SELECT {column} FROM meta").fetchone()[0])  # noqa: S608

    def _history(self) -> tuple[str, int]:
        epoch, revision = self._sql.execute("SELECT uuid, revision FROM meta").fetchone()
        return epoch, revision

    def _place(self, epoch: str, revision: int) -> Position:
        """Where the committed history is. An older copy put in the file's place begins another epoch."""
        if self._last[0] == epoch and revision < self._last[1]:
            self._resets += 1
        self._last = (epoch, revision)
        return Position(f"{epoch}-{self._resets}" if self._resets else epoch, revision)

    def _holds(self, check: Check) -> bool:
        row = self._sql.execute("SELECT version, created FROM kv WHERE key = ?", (check.key,)).fetchone()
        version, created = row or (ABSENT, ABSENT)
        return check.version in (None, version) and check.created in (None, created)

    def _apply(self, ops: Sequence[Op]) -> None:
        """Write `ops` as one revision. Deletes of absent keys leave no trace."""
        revision, changed = self._meta("revision") + 1, False
        for op in ops:
            if isinstance(op, Put):
                self._put(op, revision)
            elif not self._sql.execute("DELETE FROM kv WHERE key = ?", (op.key,)).rowcount:
                continue
            gone = not isinstance(op, Put)
            self._sql.execute(
                "INSERT INTO log VALUES (?, ?, ?, ?)", (revision, op.key, gone, int(self._wall()))
            )
            changed = True
        if changed:
            self._sql.execute("UPDATE meta SET revision = ?", (revision,))
            if revision % 1000 == 0:
                self._compact()

    def _put(self, op: Put, revision: int) -> None:
        if op.lease and not self._sql.execute("SELECT 1 FROM lease WHERE id = ?", (op.lease,)).fetchone():
            raise LeaseGone(f"{op.key}: the lease {op.lease} is gone; take a new one")
        self._sql.execute(
            "INSERT INTO kv VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value, version = excluded.version, lease = excluded.lease",
            (op.key, op.value, revision, revision, op.lease),
        )

    def _sweep(self) -> None:
        # Of another boot: its holder may be back, and times cannot be compared; it gets its ttl from now.
        now = self._now()
        self._sql.execute(
            "UPDATE lease SET deadline = ? + ttl, boot = ? WHERE boot != ?", (now, self._boot, self._boot)
        )
        rows = self._sql.execute("SELECT id FROM lease WHERE deadline <= ?", (now,)).fetchall()
        self._expire([row[0] for row in rows])

    def _expire(self, leases: Sequence[str]) -> None:
        for lease in leases:
            self._sql.execute("DELETE FROM lease WHERE id = ?", (lease,))
            keys = self._sql.execute(
                "SELECT key FROM kv WHERE lease = ? AND lease != ''", (lease,)
            ).fetchall()
            revision = self._meta("revision") + 1
            for (key,) in keys:
                self._sql.execute("DELETE FROM kv WHERE key = ?", (key,))
                self._sql.execute("INSERT INTO log VALUES (?, ?, 1, ?)", (revision, key, int(self._wall())))
            if keys:
                self._sql.execute("UPDATE meta SET revision = ?", (revision,))

    def _horizon(self) -> int:
        """The newest revision that the retention lets go."""
        limit = self._meta("revision") - self._retention.revisions
        old = self._wall() - self._retention.seconds
        aged = self._sql.execute(
            "SELECT rev - 1 FROM log WHERE at > ? ORDER BY rev LIMIT 1", (old,)
        ).fetchone()
        return max(limit, aged[0] if aged else self._meta("revision"))

    def _compact(self) -> None:
        horizon = self._horizon()
        self._sql.execute("DELETE FROM log WHERE rev <= ?", (horizon,))
        self._sql.execute("UPDATE meta SET compacted = max(compacted, ?)", (horizon,))
