"""Slices that say whose connections are a proxy's: one that is stopped and started is another control group
for the kernel, and the rules are made anew for it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from artemon.errors import ArtemonError
from proxyd import systemd
from proxyd.intercept.cgroups import SLICE
from proxyd.joining.application import UNITS
from proxyd.joining.running import systemctl
from proxyd.settings import ProxydSettings

_UNIT = """\
# written by proxyd join, removed by proxyd leave
[Unit]
Description=Artemon: rules for slices that were started anew

[Service]
Type=oneshot
ExecStart={proxyd} intercept apply --boot --intercept-dir {directory}
"""
_OF_A_SLICE = """\
# written by proxyd join, removed by proxyd leave
[Unit]
Wants={unit}
Before={unit}
"""


def hold_slices(settings: ProxydSettings) -> None:
    """Write what has systemd do so, in place of what was there for this proxy. Raises ArtemonError."""
    let_slices_go(settings)
    slices = [one for one in settings.include_cgroups if one.endswith(SLICE)]
    if not slices or not systemd.is_ours():
        return
    path = _unit(settings)
    program = shutil.which("proxyd") or f"{sys.executable} -P -m proxyd"
    try:
        path.write_text(_UNIT.format(proxyd=program, directory=settings.intercept_dir), encoding="utf-8")
        for one in slices:
            part = UNITS / f"{one.rpartition('/')[2]}.d" / f"{path.stem}.conf"
            part.parent.mkdir(exist_ok=True)
            part.write_text(_OF_A_SLICE.format(unit=path.name), encoding="utf-8")
    except OSError as error:
        raise ArtemonError(f"{error.filename} cannot be written: {error.strerror}") from error
    systemctl("daemon-reload")


def let_slices_go(settings: ProxydSettings) -> None:
    """The opposite. Nothing happens when there is nothing."""
    found = list(_there(settings))
    for path in found:
        path.unlink(missing_ok=True)
        if path.parent != UNITS and not any(path.parent.iterdir()):
            path.parent.rmdir()
    if found:
        systemctl("daemon-reload")


def _unit(settings: ProxydSettings) -> Path:
    return UNITS / f"artemon-slices{'-' if settings.instance else ''}{settings.instance}.service"


def _there(settings: ProxydSettings) -> Iterator[Path]:
    unit = _unit(settings)
    if unit.exists():
        yield unit
    yield from UNITS.glob(f"*{SLICE}.d/{unit.stem}.conf")
