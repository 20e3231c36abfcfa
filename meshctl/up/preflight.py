"""What must hold before anything is started; each failure is one line with a way out."""

from __future__ import annotations

import errno
import platform
import socket
from collections.abc import Iterable, Iterator

from artemon.daemon.envoy import find, version
from artemon.errors import ArtemonError, Problem, Refused

SUPPORTED = {"x86_64", "amd64", "aarch64", "arm64"}


def check(*, envoy: bool, addresses: Iterable[tuple[str, int, str]]) -> None:
    """Raises Refused with everything in the way. addresses: (host, port, who wants it)."""
    problems = [*_machine(), *(_envoy() if envoy else ()), *_ports(addresses)]
    if problems:
        raise Refused(problems, subject="cannot start")


def _machine() -> Iterator[Problem]:
    if platform.system() != "Linux":
        yield Problem("", f"Envoy runs on Linux; this is {platform.system()}")
    elif platform.machine().lower() not in SUPPORTED:
        yield Problem("", f"there is no Envoy for this CPU ({platform.machine()}); it needs x86-64 or arm64")


def _envoy() -> Iterator[Problem]:
    try:
        version(find(""))
    except ArtemonError as error:
        yield Problem("", str(error))


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
