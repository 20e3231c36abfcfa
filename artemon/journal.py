"""Events as entries of systemd's journal, each field one of its own (systemd.io/JOURNAL_NATIVE_PROTOCOL).

Own code, as it is a datagram of lines: systemd-python and cysystemd are compiled against libsystemd.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
PREFIX = "ARTEMON_"
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""Levels as syslog(3) numbers them."""
_OTHER = re.compile(r"[^A-Z0-9_]")


def is_stderr(environ: Mapping[str, str], stderr: int = 2) -> bool:
    """Whether standard error leads into the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        found = os.fstat(stderr)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def entry(priority: int, identifier: str, message: str, fields: Mapping[str, str]) -> bytes:
    """One entry. fields: lowercase names; all values are single lines."""
    lines = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": identifier}
    lines |= {PREFIX + _OTHER.sub("_", key.upper())[:50]: value for key, value in fields.items()}
    text = "".join(f"{key}={value}\n" for key, value in lines.items())
    return text.encode("utf-8", "backslashreplace")


class JournalHandler(logging.Handler):
    """Sends events to the journal; to `other` while that does not take them. fields: of an event, as text."""

    def __init__(
        self,
        other: logging.Handler,
        fields: Callable[[logging.LogRecord], Mapping[str, str]],
        path: Path = SOCKET,
    ) -> None:
        super().__init__()
        self._other, self._fields, self._path = other, fields, path
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event, without ever waiting."""
        told = entry(
            PRIORITIES.get(record.levelno, 5), record.name, self.format(record), self._fields(record)
        )
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
                self._socket.connect(str(self._path))
            self._socket.send(told)
        except OSError:
            self.close()
            self._other.emit(record)

    def close(self) -> None:
        """Close the socket; the next event opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        super().close()
