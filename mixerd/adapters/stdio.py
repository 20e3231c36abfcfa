"""Lines of JSON or text on mixerd's standard output, or in a file that is rotated."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from logging import LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import PurePosixPath
from typing import IO, Annotated, Any, Literal

from pydantic import Field

from artemon.adapters import Adapter, Handler, Params, Place, Row, Shape
from artemon.errors import Problem
from artemon.expr.values import Timestamp
from mixerd.adapters.plain import moment, plain

LEVELS = ("INFO", "WARNING", "ERROR")


class StdioParams(Params):
    """outputPath: of FILE and ROTATED_FILE, below mixerd's folder of logs. severityLevels: severity of an
    entry -> level; entries below outputLevel are left out, those of unknown severity count as INFO."""

    log_stream: Literal["STDOUT", "STDERR", "FILE", "ROTATED_FILE"] = "STDOUT"
    output_as_json: bool = True
    output_path: str = ""
    output_level: Literal["INFO", "WARNING", "ERROR"] = "INFO"
    metric_level: Literal["INFO", "WARNING", "ERROR"] = "INFO"
    severity_levels: dict[str, Literal["INFO", "WARNING", "ERROR"]] = Field(default_factory=dict)
    max_megabytes_before_rotation: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_rotated_files: Annotated[int, Field(ge=1, le=1000)] = 10


def _problems(params: StdioParams, _: Sequence[Shape]) -> Iterator[Problem]:
    path = PurePosixPath(params.output_path)
    if params.log_stream in ("STDOUT", "STDERR"):
        if params.output_path:
            yield Problem("spec.params.output_path", f"is not of {params.log_stream}")
    elif not params.output_path:
        yield Problem("spec.params.output_path", f"is required for {params.log_stream}")
    elif path.is_absolute() or ".." in path.parts or "\0" in params.output_path:
        yield Problem("spec.params.output_path", "must be a path below mixerd's folder of logs, without ..")


class _File(RotatingFileHandler):
    """A file of lines that tells what goes wrong."""

    def handleError(self, record: LogRecord) -> None:
        raise  # noqa: PLE0704 - called while the error is handled


class Stdio(Handler):
    """Writes in a thread: a disk that is slow delays nobody."""

    def __init__(self, params: StdioParams, place: Place) -> None:
        self._params, self._place = params, place
        self._file: _File | None = None

    async def report(self, rows: Sequence[Row]) -> None:
        lines = [line for row in rows if (line := self._line(row))]
        if lines:
            await asyncio.to_thread(self._write, lines)

    def _line(self, row: Row) -> str:
        wanted = LEVELS.index(self._params.output_level)
        severity = row.values.get("severity", "")
        known = self._params.severity_levels.get(severity)
        level = known or (self._params.metric_level if row.template == "metric" else _usual(severity))
        if LEVELS.index(level) < wanted:
            return ""
        fields = _fields(row)
        written = row.values.get("timestamp")
        now = Timestamp(int(self._place.now() * 1e9))
        at = moment(written if isinstance(written, Timestamp) else now)
        if self._params.output_as_json:
            line = {"level": level.lower(), "time": at, "instance": row.instance, **fields}
            return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        rest = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
        return f"{at} {level.lower()} {row.instance} {rest}"

    def _write(self, lines: Sequence[str]) -> None:
        if self._params.log_stream in ("STDOUT", "STDERR"):
            stream: IO[str] = sys.stdout if self._params.log_stream == "STDOUT" else sys.stderr
            stream.write("\n".join(lines) + "\n")
            stream.flush()
            return
        file = self._file or self._opened()
        for line in lines:
            file.emit(LogRecord("", 0, "", 0, line, None, None))

    def _opened(self) -> _File:
        path = self._place.folder / self._params.output_path
        path.parent.mkdir(parents=True, exist_ok=True)
        rotated = self._params.log_stream == "ROTATED_FILE"
        size = self._params.max_megabytes_before_rotation * 1_000_000 if rotated else 0
        self._file = _File(path, maxBytes=size, backupCount=self._params.max_rotated_files, encoding="utf-8")
        return self._file

    async def close(self) -> None:
        file, self._file = self._file, None
        if file:
            await asyncio.to_thread(file.close)


def _usual(severity: str) -> str:
    return severity.upper() if severity.upper() in LEVELS else "INFO"


def _fields(row: Row) -> Mapping[str, Any]:
    if row.template == "metric":
        return {"value": plain(row.values["value"]), **plain(row.values.get("dimensions", {}))}
    found: Mapping[str, Any] = plain(row.values.get("variables", {}))
    return found


plugin = Adapter(StdioParams, frozenset({"logentry", "metric"}), Stdio, _problems)
