"""Processes that are ours: told apart from a stranger with the same number by when they were started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Program:
    """What is to run. role: supervisor, daemon name, proxyd, envoy or app."""

    name: str
    role: str
    argv: tuple[str, ...]
    log: str
    cwd: str = ""
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Process:
    """A running process. started: clock ticks since boot when it was started (/proc/PID/stat, field 22)."""

    name: str
    role: str
    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs (a zombie does not)."""
        return self.started != 0 and start_time(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    async def ended(self, timeout: float) -> bool:
        """Whether it ended within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await wait_for_end(self)
        except TimeoutError:
            return False
        return True


def start_time(pid: int) -> int:
    """When process `pid` was started; 0 when there is none, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in {"Z", "X"} else int(fields[19])


async def wait_for_end(process: Process) -> None:
    """Return when `process` has ended; works for children and strangers alike (pidfd_open(2))."""
    if not process.alive:
        return
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        if process.alive:
            await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def save(path: Path, rows: Sequence[Program | Process]) -> None:
    """Write rows as JSON, all or nothing."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def load_processes(path: Path) -> list[Process]:
    """The processes written by `save`; none when there is no readable file."""
    return [Process(**row) for row in _rows(path)]


def load_programs(path: Path) -> list[Program]:
    """The programs written by `save`; none when there is no readable file."""
    return [Program(**{**row, "argv": tuple(row["argv"])}) for row in _rows(path)]


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return rows
