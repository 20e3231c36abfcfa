"""What of the machine could stop joining half-way: found out before anything is changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from artemon.daemon.address import split_address
from artemon.errors import ArtemonError
from proxyd.dns.resolvers import RESOLV_CONF, resolvers
from proxyd.joining import running
from proxyd.joining.application import UNITS
from proxyd.settings import ProxydSettings

MEGABYTE = 1024 * 1024
LEAST_MEGABYTES = 16
"""What proxyd and Envoy write at first: keys, configuration, a bootstrap, logs."""


PASSWD = Path("/etc/passwd")


def check_prospects(settings: ProxydSettings, config: Path) -> None:
    """Raises ArtemonError with one line for each thing that is in the way."""
    unit, new = running.unit_of(config), running.is_to_be_made(settings.proxy_user)
    places = [config, *(Path(one) for one in (settings.data_dir, settings.run_dir, settings.intercept_dir))]
    places += [PASSWD] if new else []
    places += [UNITS / unit] if unit else []
    there = dict.fromkeys(next(path for path in place.parents if path.exists()) for place in places)
    reasons = [reason for folder in there for reason in _disk(folder)]
    if new and shutil.which("useradd") is None:
        reasons.append("useradd is not there: install the package passwd")
    if not unit and shutil.which("setpriv") is None:
        reasons.append("setpriv is not there: install the package util-linux")
    if settings.dns_listen and not resolvers(settings.dns_upstream, split_address(settings.dns_listen)):
        reasons.append(
            f"dns_listen: {RESOLV_CONF} names no resolver but proxyd itself: set dns_upstream, or all other"
            " names would be lost"
        )
    if reasons:
        raise ArtemonError("\n".join(reasons))


def _disk(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{folder} is not a directory"
        return
    if not os.access(folder, os.W_OK):
        yield f"{folder} cannot be written to: is its file system read-only?"
        return
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize // MEGABYTE
    if free < LEAST_MEGABYTES:
        yield f"{folder}: {free} MB are free, and {LEAST_MEGABYTES} MB are needed"
    if room.f_files and not room.f_favail:
        yield f"{folder}: no more files can be made there (inodes)"
