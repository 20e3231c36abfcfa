"""Who keeps proxyd running: systemd, where it runs this machine and knows the unit, else a process alone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from artemon.errors import ArtemonError
from proxyd import systemd
from proxyd.readiness import unready
from proxyd.settings import ProxydSettings

CONFIG = Path("/etc/artemon/proxyd.yaml")
INSTANCES = Path("/etc/artemon/proxyd")
UNIT, INTERCEPT_UNIT = "artemon-proxy", "artemon-intercept.service"
SECONDS = 60.0
STOP_SECONDS = 15.0


def unit_of(config: Path) -> str:
    """The unit that runs proxyd with this file; empty where there is none, or no systemd."""
    if config == CONFIG:
        unit = f"{UNIT}.service"
    elif config.parent == INSTANCES:
        unit = f"{UNIT}@{config.stem}.service"
    else:
        return ""
    return unit if knows(unit) else ""


def knows(unit: str) -> bool:
    """Whether systemd runs this machine, in the network that we see, and has the unit."""
    if not systemd.is_ours():
        return False
    known = subprocess.run(["systemctl", "cat", unit], capture_output=True, check=False)
    return known.returncode == 0


def systemctl(*arguments: str) -> None:
    """Raises ArtemonError with what systemd says."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ArtemonError(f"systemctl {' '.join(arguments)}: {' '.join(done.stderr.split())}")


def start_process(config: Path, settings: ProxydSettings, log: Path) -> int:
    """Start proxyd as its own user, in a session of its own; its pid. Raises ArtemonError."""
    command = [*as_user(settings), sys.executable, "-P", "-m", "proxyd", "run", "--config", str(config)]
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
    except OSError as error:
        raise ArtemonError(f"proxyd cannot be started: {error.strerror}") from error
    return process.pid


def as_user(settings: ProxydSettings) -> list[str]:
    """What to put before a command so that the proxy's user runs it, with the rights that it needs."""
    uid, gid = ids(settings)
    if uid == os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        raise ArtemonError("setpriv is not there: install the package util-linux")
    caps = ["net_admin"] if settings.interception == "TPROXY" else []
    kept = [f"--inh-caps={','.join(f'+{one}' for one in caps)}"] if caps else []
    kept += [f"--ambient-caps={','.join(f'+{one}' for one in caps)}"] if caps else []
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *kept]


def ids(settings: ProxydSettings) -> tuple[int, int]:
    """User and group that proxyd runs as. Raises ArtemonError when the user is not known."""
    name = settings.proxy_user
    if name.isdecimal():
        return int(name), int(name)
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise ArtemonError(f"proxy_user: there is no user {name}") from error
    return found.pw_uid, found.pw_gid


def is_to_be_made(name: str) -> bool:
    """Whether joining has to make this user."""
    if name.isdecimal():
        return False
    try:
        pwd.getpwnam(name)
    except KeyError:
        return True
    return False


def make_user(name: str) -> None:
    """Make a system user that nobody logs in as. Raises ArtemonError."""
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ArtemonError(f"the user {name} cannot be made: {' '.join(done.stderr.split())}")


def delete_user(name: str) -> None:
    """The opposite; nothing happens when there is none."""
    subprocess.run(["userdel", name], capture_output=True, check=False)


def stop_process(pid: int, config: Path, seconds: float) -> None:
    """Ask the proxyd that we started to end, and wait; whatever else has its pid by now goes on."""
    try:
        process = psutil.Process(pid)
        if str(config) not in process.cmdline():
            return
        process.send_signal(signal.SIGTERM)
        process.wait(seconds + STOP_SECONDS)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired as error:
        raise ArtemonError(f"proxyd (pid {pid}) does not end") from error


def stop_later(unit: str, pid: int, config: Path) -> bool:
    """Tell proxyd to end without waiting for it; whether there was one."""
    if unit:
        systemctl("stop", "--no-block", unit)
        return True
    try:
        process = psutil.Process(pid) if pid else None
        if process is None or str(config) not in process.cmdline():
            return False
        process.send_signal(signal.SIGTERM)
    except psutil.NoSuchProcess:
        return False
    return True


def pause(seconds: float) -> None:
    """Let others notice."""
    time.sleep(seconds)


def wait_ready(settings: ProxydSettings, pid: int, log: str) -> float:
    """Seconds until it is ready. Raises ArtemonError with what it waits for."""
    started = time.monotonic()
    reason: str | None = ""
    while time.monotonic() - started < SECONDS:
        reason = unready(settings)
        if reason is None:
            return time.monotonic() - started
        if pid and not _lives(pid):
            raise ArtemonError(f"proxyd ended; see {log}")
        time.sleep(0.1)
    raise ArtemonError(f"the proxy is not ready after {SECONDS:.0f} s: {reason}; see {log}")


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
