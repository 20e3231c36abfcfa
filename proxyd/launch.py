"""What one Envoy is started with."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from artemon.errors import ArtemonError
from proxyd.bootstrap import Json
from proxyd.envoylog import LOG_FORMAT
from proxyd.settings import ProxydSettings

MOST_BASE = 400_000_000
"""Envoy multiplies the base id by ten, in 32 bits."""
SHARED = Path("/dev/shm")  # noqa: S108 - where Envoy keeps it
_GENERATION = ("--base-id", "--restart-epoch")


@dataclass(frozen=True)
class Launch:
    """Settings of one Envoy. patches: names of those in its bootstrap."""

    bootstrap: str
    concurrency: int
    environment: tuple[tuple[str, str], ...] = ()
    patches: tuple[str, ...] = ()

    @cached_property
    def file(self) -> str:
        """Name of the bootstrap's file. The digest is of all that Envoy's arguments do not say, so a running
        Envoy tells what it was given."""
        text = self.bootstrap + json.dumps(self.environment)
        return f"bootstrap-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


@dataclass(frozen=True)
class Generation:
    """One Envoy in a row of hot restarts. base: what they have in common on this machine."""

    base: int
    epoch: int = 0

    def next(self) -> Generation:
        """The one that takes over."""
        return Generation(self.base, self.epoch + 1)

    def arguments(self) -> list[str]:
        """Those that differ from one to the next."""
        return [_GENERATION[0], str(self.base), _GENERATION[1], str(self.epoch)]

    @property
    def can_hand_over(self) -> bool:
        """Whether there is still what Envoys of a row share; systemd's RemoveIPC takes it away, for one."""
        return self.base > 0 and self._shared.exists()

    def forget(self) -> None:
        """Remove what Envoy leaves of the row in shared memory."""
        if self.base:
            self._shared.unlink(missing_ok=True)

    @property
    def _shared(self) -> Path:
        return SHARED / f"envoy_shared_memory_{self.base * 10}"


def can_restart_hot() -> bool:
    """Whether Envoys can hand over to one another here: they need shared memory."""
    return os.access(SHARED, os.W_OK)


def plain(bootstrap: Json, concurrency: int) -> Launch:
    """As the settings of this machine say, with nothing of the mesh's."""
    return Launch(json.dumps(bootstrap, indent=1), concurrency)


def common_arguments(settings: ProxydSettings, launch: Launch, *, hot: bool) -> list[str]:
    """All arguments but the generation's."""
    drain = max(1, round(settings.drain_seconds))
    options = {
        "-c": launch.file,
        "--concurrency": str(launch.concurrency),
        "-l": settings.envoy_log_level,
        "--log-format": LOG_FORMAT,
        "--drain-time-s": str(drain),
        "--drain-strategy": "immediate",
    }
    flags = ["--skip-deprecated-logs", "--log-format-escaped"]
    flags += ["--parent-shutdown-time-s", str(drain + 1)] if hot else ["--disable-hot-restart"]
    return [*(part for pair in options.items() for part in pair), *flags]


def parted(arguments: Sequence[str]) -> tuple[list[str], Generation]:
    """The arguments of a running Envoy without the binary: the common ones, and its generation."""
    rest, told, found = [], dict.fromkeys(_GENERATION, "0"), iter(arguments[1:])
    for one in found:
        if one in told:
            told[one] = next(found, "0")
        else:
            rest.append(one)
    numbers = [int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0 for text in told.values()]
    return rest, Generation(*numbers)


def check_ports(own: ProxydSettings) -> None:
    """Raises ArtemonError when something else listens where Envoy is to."""
    for address, port in (
        (own.loopback, own.admin_port),
        (own.bind, own.stats_port),
        (own.bind, own.ready_port),
    ):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise ArtemonError(f"cannot listen on {address}:{port}: {error.strerror}") from error
