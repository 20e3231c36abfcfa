"""A process that outlives us: watched by its pidfd, whether we started it or found it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from artemon.errors import ArtemonError

PROC = Path("/proc")


class Process:
    """One running process. A pidfd stands for it, so a pid used again is never mistaken for it."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError when there is no such process."""
        self.pid = pid
        self._handle = os.pidfd_open(pid)
        self._waiters: set[asyncio.Event] = set()

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
            done = subprocess.run(
                ["/bin/sh", "-c", _ORPHAN, arguments[0], *arguments],
                cwd=directory,
                env={**private, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                check=True,
            )
            return cls(int(done.stdout))
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            raise ArtemonError(f"{arguments[0]} cannot be started: {error}") from error
        finally:
            os.close(log)

    async def wait(self) -> str:
        """Return when it has ended, with what is known of the reason, or when it hands over."""
        if self._handle < 0:
            return "ended"
        ended = asyncio.Event()
        self._waiters.add(ended)
        loop = asyncio.get_running_loop()
        handle = os.dup(self._handle)
        loop.add_reader(handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
            self._waiters.discard(ended)
        return "handed over" if self.running else self._reason()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._handle >= 0 and not select.select([self._handle], [], [], 0)[0]

    def hand_over(self) -> None:
        """Another process has taken its place: whoever waits for its end until now, waits no longer."""
        for one in self._waiters:
            one.set()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self._handle < 0:
            return
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
        """Forget it. It goes on; here it counts as ended."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def _reason(self) -> str:
        """How it ended, where it is our child after all: we are the first process of a container."""
        if self._handle < 0:
            return "ended"
        try:
            status = os.waitid(os.P_PIDFD, self._handle, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return "its log says why, if it could"
        if status is None:
            return "it is being examined"
        if status.si_code == os.CLD_EXITED:
            return f"exit status {status.si_status}"
        return f"signal {signal.Signals(status.si_status).name}"


_ORPHAN = """(while kill -0 $$ 2>/dev/null; do sleep 0.01; done; exec "$@") >&2 & echo $!"""
"""Starts a process that waits until the shell is gone. An Envoy that can be replaced asks the kernel to be
ended with its parent; whose parent is the machine's first process is not ended with us."""
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
