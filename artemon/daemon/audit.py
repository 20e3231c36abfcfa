"""The audit log: one line of JSON per decision, each holding the hash of the line before it.

A line is on disk before the decision takes effect. Lines of concurrent calls share one fsync. Beside the log
lies its head: how long the log is, and the hash of its last line, so that a log cut short shows too. Whoever
can write both files can still replace all of it; cutting, changing, moving or inserting lines shows.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from artemon.errors import ArtemonError

START = "0" * 64
MAX_PENDING = 4096
MAX_FIELD = 512
MAX_ITEMS = 64
"""Items of a field that is a list."""
TAIL = 64 * 1024
TRUNCATED = "truncated"
"""Decision of the line that is written when a log was found shorter than its head says."""


class AuditUnavailable(ArtemonError):
    """A decision cannot be written down, so it must not take effect."""


def link(line: bytes) -> str:
    """What the next line holds as `prev`: the SHA-256 of `line`, without its newline."""
    return hashlib.sha256(line).hexdigest()


def check_chain(lines: Iterable[bytes], *, head: Head | None = None) -> int:
    """How many lines there are. Raises ArtemonError with the number of the first line that does not fit, or
    that the log is shorter than its head says."""
    previous, count, size, reached = START, 0, 0, head is None or not head.size
    for count, raw in enumerate(lines, 1):
        line = raw.rstrip(b"\n")
        entry = _entry(line) if raw.endswith(b"\n") else None
        if entry is None or entry.get("prev") != previous:
            raise ArtemonError(f"line {count} of the audit log does not follow from the line before it")
        if entry.get("decision") == TRUNCATED:
            raise ArtemonError(f"before line {count} the audit log was cut: {entry.get('reason', '')}")
        previous, size = link(line), size + len(raw)
        reached = reached or (head is not None and (head.size, head.last) == (size, previous))
    if head is not None and not reached:
        text = f"{head.size} bytes that end with the line of hash {head.last[:16]}..."
        raise ArtemonError(f"the audit log is cut or replaced: its head says {text}; there are {size} bytes")
    return count


def check_file(path: Path) -> int:
    """How many lines a log has, judged with its head where that lies beside it. Raises ArtemonError."""
    try:
        head = read_head(path)  # before the log, which may grow meanwhile
        with path.open("rb") as lines:
            return check_chain(lines, head=head)
    except OSError as error:
        raise ArtemonError(f"the audit log {path} cannot be read: {error.strerror}") from error


def last_entries(path: Path, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` lines, the newest first. Raises ArtemonError when the file cannot be read."""
    try:
        with path.open("rb") as lines:
            newest = deque(lines, maxlen=limit)
    except OSError as error:
        raise ArtemonError(f"the audit log {path} cannot be read: {error.strerror}") from error
    return [entry for line in reversed(newest) if line.endswith(b"\n") and (entry := _entry(line))]


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log had come. size: bytes; last: hash of the line that ends there."""

    size: int
    last: str


def read_head(log: Path) -> Head | None:
    """The head of a log; None when there is none or it cannot be understood."""
    try:
        size, last = head_path(log).read_text(encoding="ascii").split()
        return Head(int(size), last)
    except (OSError, ValueError):
        return None


def head_path(log: Path) -> Path:
    """Where the head of a log lies."""
    return log.with_name(log.name + ".head")


class AuditLog:
    """Appends to one file; `run()` must be running. Not shared between processes."""

    def __init__(self, path: Path) -> None:
        """Open or make the file (0600). A last line cut off by a crash is removed: nothing depended on it.

        Raises ArtemonError when the file cannot be opened, or another process writes it.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags | os.O_APPEND, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            known = read_head(path)
            self._head = os.open(head_path(path), flags, 0o600)
            self._previous = self._recover()
            self._size = os.fstat(self._file).st_size
            if known is not None:
                self._confess(known)
        except BlockingIOError as error:
            os.close(self._file)
            raise ArtemonError(f"another process keeps its audit log in {path.parent}") from error
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

    @property
    def head(self) -> Head:
        """How far the log has come, as this process knows it."""
        return Head(self._size, self._previous)

    def _confess(self, known: Head) -> None:
        """Write down, for good, that lines are missing which the head knows of."""
        size = os.fstat(self._file).st_size
        if known.size > size or (known.size == size and known.last != self._previous):
            reason = f"it had {known.size} bytes, now {size}"
            self._write([{"at": _now(), "decision": TRUNCATED, "reason": reason}])

    async def append(self, decision: str, **fields: object) -> None:
        """Return when the line is on disk. Raises AuditUnavailable when it cannot be written."""
        if len(self._pending) >= MAX_PENDING:
            raise AuditUnavailable("too many decisions wait for the audit log")
        kept = {key: _short(value) for key, value in fields.items() if value not in ("", None)}
        entry = {"at": _now(), "decision": decision, **kept}
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
            os.close(self._head)
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
            written = len(data)
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, start)
            raise
        self._previous, self._size = previous, self._size + written
        os.pwrite(self._head, f"{self._size:020d} {previous}\n".encode(), 0)  # after the log, always


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _short(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_short(item) for item in value[:MAX_ITEMS]]
    return value if isinstance(value, int | float | bool) else str(value)[:MAX_FIELD]
