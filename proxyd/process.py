"""A process that outlives us: watched by its pidfd, whether we started it or found it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from artemon.errors import ArtemonError

PROC = Path("/proc")


class Process:
    """One running process. A pidfd stands for it, so a pid used again is never mistaken for it."""

    def __init__(self, pid: int, *, child: subprocess.Popen[bytes] | None = None) -> None:
        """Raises ProcessLookupError when there is no such process."""
        self.pid = pid
        self._child = child
        self._handle = os.pidfd_open(pid)

    @classmethod
    def start(
        cls, arguments: Sequence[str], *, directory: Path, output: Path, environment: Mapping[str, str]
    ) -> Self:
        """Start it in a session of its own, with output appended to a file: nothing ties its life to ours.
        environment: beside what is not ours of our own environment.

        Raises ArtemonError when it cannot be started.
        """
        private = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
        log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            child = subprocess.Popen(
                arguments,
                cwd=directory,
                env={**private, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise ArtemonError(f"{arguments[0]} cannot be started: {error.strerror}") from error
        finally:
            os.close(log)
        return cls(child.pid, child=child)

    async def wait(self) -> str:
        """Return when it has ended, with what is known of the reason."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        handle = os.dup(self._handle)
        loop.add_reader(handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        return self._reason()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            return

    async def stop(self, patience: float) -> None:
        """Ask it to end, and end it after `patience` seconds."""
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), patience)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await asyncio.wait_for(self.wait(), patience + 5)

    def close(self) -> None:
        """Forget it. It goes on."""
        os.close(self._handle)
        if self._child is not None:
            self._child.returncode = self._child.returncode or 0

    def _reason(self) -> str:
        status = self._child.wait() if self._child is not None else None
        if status is None:
            return "ended"
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


_OURS = ("ARTEMON_", "NOTIFY_", "WATCHDOG_", "LISTEN_")


def running_in(directory: Path) -> dict[int, tuple[str, ...]]:
    """Processes with this working directory that we may look at: pid to arguments."""
    wanted = str(directory.resolve())
    found = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "cwd") == wanted:
                arguments = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                found[int(entry.name)] = tuple(os.fsdecode(argument) for argument in arguments)
        except OSError:
            continue
    return found
