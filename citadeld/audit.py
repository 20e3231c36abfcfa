"""The audit log: one line of JSON per decision, each holding the hash of the line before it.

A line is on disk before the decision takes effect. Lines of concurrent calls share one fsync. Whoever can
write the file can still replace all of it; cutting, changing or inserting single lines shows.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from artemon.errors import ArtemonError

START = "0" * 64
MAX_PENDING = 4096
MAX_FIELD = 512
TAIL = 64 * 1024


class AuditUnavailable(ArtemonError):
    """A decision cannot be written down, so it must not take effect."""


def link(line: bytes) -> str:
    """What the next line holds as `prev`: the SHA-256 of `line`, without its newline."""
    return hashlib.sha256(line).hexdigest()


def check_chain(lines: Iterable[bytes]) -> int:
    """How many lines there are. Raises ArtemonError with the number of the first line that does not fit."""
    previous, count = START, 0
    for count, raw in enumerate(lines, 1):
        line = raw.rstrip(b"\n")
        try:
            fits = raw.endswith(b"\n") and json.loads(line)["prev"] == previous
        except (ValueError, TypeError, KeyError):
            fits = False
        if not fits:
            raise ArtemonError(f"line {count} of the audit log does not follow from the line before it")
        previous = link(line)
    return count


class AuditLog:
    """Appends to one file; `run()` must be running. Not shared between processes."""

    def __init__(self, path: Path) -> None:
        """Open or make the file (0600). A last line cut off by a crash is removed: nothing depended on it.

        Raises ArtemonError when the file cannot be opened, or another process writes it.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._previous = self._recover()
        except BlockingIOError as error:
            os.close(self._file)
            raise ArtemonError(f"another citadeld runs with the data directory {path.parent}") from error
        except OSError as error:
            raise ArtemonError(f"the audit log {path} cannot be opened: {error.strerror}") from error
        self._pending: list[tuple[dict[str, object], asyncio.Future[None]]] = []
        self._wake = asyncio.Event()

    def _recover(self) -> str:
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, TAIL, max(0, size - TAIL))
        whole, newline, cut = tail.rpartition(b"\n")
        if cut:
            os.ftruncate(self._file, size - len(cut))
            os.fsync(self._file)
        return link(whole.rpartition(b"\n")[2]) if newline else START

    async def append(self, decision: str, **fields: object) -> None:
        """Return when the line is on disk. Raises AuditUnavailable when it cannot be written."""
        if len(self._pending) >= MAX_PENDING:
            raise AuditUnavailable("too many decisions wait for the audit log")
        kept = {key: _short(value) for key, value in fields.items() if value not in ("", None)}
        entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "decision": decision, **kept}
        done = asyncio.get_running_loop().create_future()
        self._pending.append((entry, done))
        self._wake.set()
        await done

    async def run(self) -> None:
        """Write what is appended, until cancelled; then write the rest and close."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._flush()
        finally:
            await self._flush()
            os.close(self._file)

    async def _flush(self) -> None:
        """Write what is pending. Once begun it is finished, also when cancelled: callers wait for it."""
        batch, self._pending = self._pending, []
        if not batch:
            return
        entries = [entry for entry, _ in batch]
        writing = asyncio.get_running_loop().run_in_executor(None, self._write, entries)
        try:
            await asyncio.wait({writing})
        finally:
            if not writing.done():  # cancelled while the disk is busy
                await asyncio.wait({writing})
            error = writing.exception()
            for _, done in batch:
                if done.done():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(AuditUnavailable(f"the audit log cannot be written: {error}"))

    def _write(self, entries: list[dict[str, object]]) -> None:
        previous, lines = self._previous, []
        for entry in entries:
            line = json.dumps({"prev": previous, **entry}, separators=(",", ":")).encode()
            previous = link(line)
            lines.append(line + b"\n")
        start = os.fstat(self._file).st_size
        try:
            data = b"".join(lines)
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, start)
            raise
        self._previous = previous


def _short(value: object) -> object:
    return value if isinstance(value, int | float | bool) else str(value)[:MAX_FIELD]
