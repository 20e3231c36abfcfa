"""Envoy's log file joined into ours: a file, because a pipe would die with proxyd."""

from __future__ import annotations

import asyncio
from pathlib import Path

from artemon.log import Log

LOG_FORMAT = "%l %n %v"
"""Level, logger, text. No tabs: Envoy escapes them."""

LIMIT = 1 << 20
CHUNK = 1 << 18
EVERY_SECONDS = 0.3
_LEVELS = {
    "trace": Log.debug,
    "debug": Log.debug,
    "info": Log.info,
    "warning": Log.warning,
    "error": Log.error,
    "critical": Log.error,
}


def emit(line: str, log: Log) -> None:
    """One line of Envoy's (LOG_FORMAT), or of whatever else it wrote, as an event."""
    level, _, rest = line.partition(" ")
    logger, _, text = rest.partition(" ")
    if level in _LEVELS and text:
        _LEVELS[level](log, text.strip(), component=logger)
    elif line.strip():
        log.info(line.strip())


class EnvoyLog:
    """Follows the file from where it ends now, or from its begin when it is new."""

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            more = self.read()
            await asyncio.sleep(0 if more else EVERY_SECONDS)

    def finish(self) -> None:
        """Take what is left: Envoy has ended."""
        while self.read():
            pass

    def read(self) -> bool:
        """Take what is new; whether there may be more. A file read to its end is emptied when it is large."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return False
        if size < self._offset:
            self._offset = 0
        if size == self._offset:
            if size > LIMIT:
                with self._path.open("r+b") as file:
                    file.truncate(0)
                self._offset = 0
            return False
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(CHUNK)
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-CHUNK:]
        for line in lines:
            emit(line.decode("utf-8", "replace"), self._log)
        return True
