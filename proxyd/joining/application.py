"""A unit that stops before the application's does: peers stop sending before the application ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from artemon.errors import ArtemonError
from proxyd import systemd
from proxyd.joining.running import UNIT, systemctl
from proxyd.settings import ProxydSettings

UNITS = Path("/etc/systemd/system")
SECONDS = 30
_TEXT = """\
# written by proxyd join, removed by proxyd leave
[Unit]
Description=Artemon: peers are told before {unit} stops
PartOf={unit}
After={unit} {proxy}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-{proxyd} drain --undo --config {config}
ExecStop=-{proxyd} drain --seconds {seconds} --config {config}
TimeoutStopSec={most}

[Install]
WantedBy={unit}
"""


def check_application(settings: ProxydSettings) -> None:
    """Raises ArtemonError when there is no such unit."""
    unit = settings.application_unit
    if not unit:
        return
    if not systemd.is_ours():
        raise ArtemonError(f"application_unit: {unit}: systemd does not run this machine")
    shown = ["systemctl", "show", "-p", "LoadState", "--value", unit]
    state = subprocess.run(shown, capture_output=True, text=True, check=False).stdout.strip()
    if state != "loaded":
        raise ArtemonError(
            f"application_unit: there is no unit {unit} ({state or 'systemd does not answer'})"
        )


def drain_unit(settings: ProxydSettings) -> Path | None:
    """The file of the unit; None where the application has none."""
    name = f"artemon-drain-{settings.instance}" if settings.instance else "artemon-drain"
    return UNITS / f"{name}.service" if settings.application_unit else None


def hold(settings: ProxydSettings, config: Path) -> None:
    """Write the unit and start it. Raises ArtemonError."""
    path = drain_unit(settings)
    if path is None:
        return
    proxy = f"{UNIT}@{settings.instance}.service" if settings.instance else f"{UNIT}.service"
    program = shutil.which("proxyd") or f"{sys.executable} -P -m proxyd"
    text = _TEXT.format(
        unit=settings.application_unit, proxy=proxy, proxyd=program, config=config,
        seconds=SECONDS, most=2 * SECONDS,
    )  # fmt: skip
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArtemonError(f"{path} cannot be written: {error.strerror}") from error
    systemctl("daemon-reload")
    systemctl("enable", "--now", path.name)


def let_go(settings: ProxydSettings) -> None:
    """Stop the unit, for which peers are told, and remove it. Nothing happens when there is none."""
    path = drain_unit(settings)
    if path is None or not path.exists():
        return
    systemctl("disable", "--now", path.name)
    path.unlink(missing_ok=True)
    systemctl("daemon-reload")
