"""`proxyd drain`: no more requests for this machine, and back again."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import click

from artemon.daemon.settings import load
from artemon.daemon.sockets import reachable
from artemon.errors import ArtemonError
from proxyd.control import SOCKET
from proxyd.settings import ProxydSettings

PAUSE = 0.2
SETTLE_SECONDS = 2.0
"""What peers may take to hear of it: until then they still send."""


@click.command()
@click.option("--config", metavar="FILE", default="/etc/artemon/proxyd.yaml", show_default=True,
              help="File of settings.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0, 3600), default=30.0, show_default=True,
              help="How long to wait for requests that are under way.")  # fmt: skip
@click.option("--undo", is_flag=True, help="Take requests again.")
def drain(config: str, seconds: float, undo: bool) -> None:
    """Tell all peers to send nothing more here, and return when nothing is under way.

    Example: proxyd drain && systemctl restart web && proxyd drain --undo
    """
    try:
        settings = load(ProxydSettings, name="proxyd", file=config, environ=os.environ, flags={})
        state = _ask(settings, "POST", "/undrain" if undo else "/drain")
        if not undo:
            state = _wait(settings, seconds)
    except ArtemonError as error:
        click.echo(f"proxyd drain: {error}", err=True)
        sys.exit(1)
    click.echo(f"{state['health']}; requests under way: {state['active']}")
    sys.exit(1 if state["active"] and not undo else 0)


def _wait(settings: ProxydSettings, seconds: float) -> dict[str, Any]:
    """Until nothing is under way, for as long as peers may take to hear of it and a while."""
    begin = time.monotonic()
    while True:
        state = _ask(settings, "GET", "/health")
        passed = time.monotonic() - begin
        if passed >= max(seconds, 0.0) or (passed >= SETTLE_SECONDS and not state["active"]):
            return state
        time.sleep(PAUSE)


def _ask(settings: ProxydSettings, method: str, path: str) -> dict[str, Any]:
    file = Path(settings.run_dir) / SOCKET
    connection = http.client.HTTPConnection("proxyd", timeout=10)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(10)
        with reachable(file) as name:
            connection.sock.connect(name)
        connection.request(method, path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ArtemonError(f"proxyd does not answer at {file}: {error}") from error
    finally:
        connection.close()
    return answer
