"""Brings rules into force, on trial first: unless confirmed in time, what was there before returns."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from artemon.errors import ArtemonError
from proxyd import systemd
from proxyd.intercept import cgroups
from proxyd.intercept.capture import EVERY, Capture
from proxyd.intercept.iptables import PREFIX
from proxyd.intercept.ipv6 import has_ipv6
from proxyd.intercept.nft import TABLE
from proxyd.intercept.state import State, StateFile
from proxyd.intercept.steps import Backend, Present, Step, install, no_routing, uninstall

SECONDS = 60
Guard = Callable[[str], None]
"""Starts what takes rules back that nobody confirms; gets the mark of the trial."""


class Interception:
    """The rules for one proxy of this machine, and what is known of them. The kernel has those of all proxies
    in one table, which is replaced as a whole."""

    def __init__(self, directory: Path, name: str = "") -> None:
        self._directory = directory
        self._file = StateFile(directory, name)

    def state(self) -> State:
        """What is known."""
        return self._file.load()

    def others(self) -> Mapping[str, Capture]:
        """What is in force for the machine's other proxies, by name."""
        states = self._file.others().items()
        return {name: state.in_force for name, state in states if state.in_force is not None}

    def apply(self, capture: Capture, backend: Backend, *, guard: Guard, seconds: float = SECONDS) -> State:
        """Put rules on trial for `seconds`. Raises ArtemonError; then what was before is in force."""
        with self._file.locked():
            before = self._file.load()
            mark = secrets.token_hex(8)
            state = before.on_trial(capture, backend, mark=mark, until=time.time() + seconds)
            self._file.save(state)
            try:
                guard(mark)
                self._enforce(state, before)
            except ArtemonError:
                self._return_to(replace(before, pending=None), state)
                raise
            return state

    def confirm(self) -> State:
        """Keep what is on trial. Raises ArtemonError when nothing is."""
        with self._file.locked():
            state = self._file.load()
            if state.pending is None:
                raise ArtemonError("no rules are waiting to be confirmed")
            settled = state.settled()
            self._file.save(settled)
            return settled

    def left(self, mark: str) -> float:
        """Seconds until the trial `mark` ends; 0 when it has, by time or otherwise."""
        pending = self._file.load().pending
        return max(0.0, pending.until - time.time()) if pending is not None and pending.id == mark else 0.0

    def take_back(self, mark: str) -> bool:
        """End the trial `mark`, unless it was confirmed or another one took its place; whether it did."""
        with self._file.locked():
            state = self._file.load()
            if state.pending is None or state.pending.id != mark:
                return False
            self._return_to(replace(state, pending=None), state)
            return True

    def restore(self) -> bool:
        """After a reboot: what was confirmed, for whichever proxy, is in force again; what was on trial is
        forgotten. Whether there was anything."""
        with self._file.locked():
            state = State()
            for name in self._file.names():
                file = StateFile(self._directory, name)
                state = replace(file.load(), pending=None)
                file.save(state)
            state = replace(self._file.load(), backend=state.backend)
            captures = [*self.others().values(), *([state.confirmed] if state.confirmed else [])]
            if not captures:
                return False
            for capture in captures:
                cgroups.make(() if capture.cgroups == EVERY else capture.cgroups)
            self._enforce(state, state)
            return True

    def remove(self) -> None:
        """Leave nothing of ours in the kernel, and forget everything."""
        with self._file.locked():
            before = self._file.load()
            self._enforce(State(backend=before.backend), before)
            self._file.save(State(backend=before.backend))

    def forget(self) -> bool:
        """What is known of this proxy; whether others are left."""
        with self._file.locked():
            self._file.delete()
            return bool(self._file.names())

    def _enforce(self, state: State, before: State) -> None:
        """Rules of `state` in place of those of `before`."""
        ipv6, capture, old = has_ipv6(), state.in_force, before.in_force
        captures = [*([capture] if capture else []), *self.others().values()]
        if not captures:
            _run(uninstall(old, before.backend, _present(before.backend), ipv6=ipv6))
            return
        _run(install(captures, state.backend, _present(state.backend), ipv6=ipv6))
        if old is not None and old.transparent and not captures[0].transparent:
            _run(no_routing(old, ipv6=ipv6))

    def _return_to(self, settled: State, state: State) -> None:
        self._enforce(settled, state)
        self._file.save(settled)


def guard_process(arguments: Iterable[str]) -> Guard:
    """A process that outlives us and our session: a unit where systemd runs this machine, else one of its
    own session. arguments: of `proxyd intercept take-back`."""

    def start(mark: str) -> None:
        python = (sys.executable, "-P", "-m", "proxyd")
        command = [*python, "intercept", "take-back", "--trial", mark, *arguments]
        if systemd.is_ours():
            unit = ("systemd-run", "--quiet", "--collect", f"--unit=artemon-take-back-{mark}")
            _run([Step((*unit, *command))])
            return
        try:
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            raise ArtemonError(f"the process that would take rules back: {error.strerror}") from error

    return start


class Found(StrEnum):
    """What became of our rules in the kernel: others who flush everything do not tell us, and a control group
    that was made anew has none."""

    THERE = "there"
    FLUSHED = "flushed"
    STALE = "stale"


def found(backend: Backend) -> Found:
    """Raises ArtemonError."""
    if backend is Backend.IPTABLES:
        return Found.THERE if f":{PREFIX}" in _output("iptables-save") else Found.FLUSHED
    command = ["nft", "list", "table", *TABLE.split()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtemonError(f"nft: {error}") from error
    if done.returncode != 0:
        return Found.FLUSHED
    return Found.STALE if cgroups.is_stale(done.stdout) else Found.THERE


def _present(backend: Backend) -> Present:
    if backend is Backend.NFT:
        return Present()
    saved = [_output("iptables-save"), _output("ip6tables-save") if has_ipv6() else ""]
    return Present(*saved)


def _output(command: str) -> str:
    try:
        done = subprocess.run([command], capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ArtemonError(f"{command}: {error}") from error
    return done.stdout


def _run(steps: Iterable[Step]) -> None:
    """Every command in turn. Raises ArtemonError with what the first that fails says."""
    for step in steps:
        try:
            done = subprocess.run(
                step.argv, input=step.content, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ArtemonError(f"{step.argv[0]}: {error}") from error
        if done.returncode != 0 and not step.lenient:
            said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
            raise ArtemonError(f"{' '.join(step.argv)}: {said}")
