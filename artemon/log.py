"""Logs are events with fields: one line per decision, JSON or text, control characters escaped."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from artemon.journal import JournalHandler, is_stderr

LIMIT = 1024
"""Characters of one field; longer values are cut (a caller may write them)."""

Format = Literal["auto", "text", "json"]


class Log:
    """A named source of events. `log.info("joined", node="a", seconds=0.2)`."""

    def __init__(self, name: str, **fields: object) -> None:
        self._logger = logging.getLogger(name)
        self._fields = fields

    def bind(self, **fields: object) -> Log:
        """The same source with fields that go into every event."""
        return Log(self._logger.name, **{**self._fields, **fields})

    def debug(self, event: str, **fields: object) -> None:
        """Something only a developer asks for."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """A decision."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something an operator should know; the daemon goes on."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something an operator must mend."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"artemon": {**self._fields, **fields}})


def printable(value: object) -> str:
    """`value` as text on one line: control and direction characters escaped, at most LIMIT characters."""
    text = str(value)
    if len(text) > LIMIT:
        text = text[:LIMIT] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "artemon", {}))
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = repr(record.exc_info[1])
    return fields


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            key: value if isinstance(value, int | float | bool | None) else printable(value)
            for key, value in _fields(record).items()
        }
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": printable(record.getMessage()),
        }
        return json.dumps(head | fields, ensure_ascii=False)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        return f"{time} {record.levelname.lower():7} {record.name}: {_line(record)}"


class _Line(logging.Formatter):
    """Without what the journal has beside it."""

    def format(self, record: logging.LogRecord) -> str:
        return _line(record)


def _line(record: logging.LogRecord) -> str:
    fields = "".join(f" {key}={_quoted(printable(value))}" for key, value in _fields(record).items())
    return f"{printable(record.getMessage())}{fields}"


def _journal_fields(record: logging.LogRecord) -> dict[str, str]:
    told = {key: printable(value) for key, value in _fields(record).items()}
    return {"event": printable(record.getMessage())} | told


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or "=" in text else text


def setup(*, level: str = "info", form: Format = "text") -> None:
    """Send events to standard error; with `auto`, where that is systemd's journal, as its entries with
    fields, else as text. Called once, by a daemon's main or the command line."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    if form == "auto" and is_stderr(os.environ):
        handler = JournalHandler(handler, _journal_fields)
        handler.setFormatter(_Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "aiohttp.access", "apscheduler", "grpc"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
