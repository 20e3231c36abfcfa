"""`proxyd intercept`: plan, apply, confirm, remove, status."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from artemon.daemon.settings import load, options
from artemon.errors import ArtemonError, Refused
from proxyd.intercept import iptables, nft
from proxyd.intercept.apply import SECONDS, Found, Interception, found, guard_process
from proxyd.intercept.capture import Capture
from proxyd.intercept.machine import Machine, look
from proxyd.intercept.obstacles import notices, obstacles
from proxyd.intercept.report import lines, sockets_told
from proxyd.intercept.resolve import counted, resolve
from proxyd.intercept.state import capture_shown
from proxyd.intercept.steps import Backend
from proxyd.readiness import unready
from proxyd.settings import ProxydSettings

NAME = "proxyd intercept"
CONFIG = "/etc/artemon/proxyd.yaml"
BECAME = {
    Found.FLUSHED: "flushed by somebody else",
    Found.STALE: "stale: a control group that they name was made anew",
}
NOTICE_SECONDS = 0.5
"""How soon who waits for the end of a trial sees that it was confirmed."""
_config = click.option(
    "--config", metavar="FILE", default=CONFIG, show_default=True, help="YAML file of settings."
)
_output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group()
def intercept() -> None:
    """Lead this machine's connections to its proxy.

    Example: proxyd intercept plan && proxyd intercept apply && proxyd intercept confirm
    """


@options(ProxydSettings)
@intercept.command()
@_config
@_output
def plan(config: str, output: str, **flags: Any) -> None:
    """Show the rules, and what becomes of sockets and connections. Changes nothing.

    Example: proxyd intercept plan --exclude-inbound-ports 9100
    """
    settings = _settings(config, flags)
    with _failures():
        capture, machine = _resolved(settings)
        others = _interception(settings).others()
    stops, told = obstacles(capture, machine, others), notices(capture, machine)
    captures = (capture, *others.values())
    script = "" if stops else _script(captures, machine.backend)
    if output == "text":
        text = lines(captures, machine, script, obstacles=stops, notices=told)
        click.echo("\n".join(text))
    else:
        shown = _plan_shown(captures, machine, script)
        click.echo(json.dumps({**shown, "obstacles": stops, "notices": told}))
    sys.exit(1 if stops else 0)


@options(ProxydSettings)
@intercept.command()
@_config
@click.option("--seconds", type=click.FloatRange(1, 3600), default=SECONDS, show_default=True,
              help="How long the rules are on trial.")  # fmt: skip
@click.option("--boot", is_flag=True, help="Bring back what was confirmed, as the machine starts.")
@click.option(
    "--now", is_flag=True, help="Apply even if the proxy is not ready: connections fail until it is."
)
def apply(config: str, seconds: float, boot: bool, now: bool, **flags: Any) -> None:
    """Apply the rules on trial: they are taken back unless confirmed in time.

    Example: proxyd intercept apply && curl -s localhost:15021/healthz/ready && proxyd intercept confirm
    """
    settings = _settings(config, flags)
    interception = _interception(settings)
    with _failures():
        if boot:
            click.echo(
                "confirmed rules are in force" if interception.restore() else "no rules were confirmed"
            )
            return
        capture, machine = _resolved(settings)
        stops = [*obstacles(capture, machine, interception.others()), *([] if now else _unready(settings))]
        if stops:
            raise ArtemonError("\n".join(stops))
        for one in notices(capture, machine):
            click.echo(f"note: {one}", err=True)
        guard = guard_process(("--intercept-dir", settings.intercept_dir, "--instance", settings.instance))
        interception.apply(capture, machine.backend, guard=guard, seconds=seconds)
    click.echo(f"applied; taken back in {seconds:.0f} s unless you run: proxyd intercept confirm")


@intercept.command()
@_config
@click.option("--intercept-dir", default=None, help="What is known of rules that were applied.")
def confirm(config: str, intercept_dir: str | None) -> None:
    """Keep the rules that are on trial, and bring them back at boot.

    Example: proxyd intercept confirm
    """
    settings = _settings(config, {"intercept_dir": intercept_dir})
    with _failures():
        _interception(settings).confirm()
    click.echo("confirmed")


@intercept.command()
@_config
@click.option("--intercept-dir", default=None, help="What is known of rules that were applied.")
def remove(config: str, intercept_dir: str | None) -> None:
    """Take all rules away, and forget them.

    Example: proxyd intercept remove
    """
    settings = _settings(config, {"intercept_dir": intercept_dir})
    with _failures():
        _interception(settings).remove()
    click.echo("removed")


@intercept.command()
@_config
@_output
@click.option("--intercept-dir", default=None, help="What is known of rules that were applied.")
def status(config: str, output: str, intercept_dir: str | None) -> None:
    """Say which rules are in force, whether they are on trial, and whether somebody else flushed them.

    Example: proxyd intercept status -o json
    """
    settings = _settings(config, {"intercept_dir": intercept_dir})
    with _failures():
        state = _interception(settings).state()
        became = found(state.backend) if state.in_force is not None else Found.THERE
    shown: dict[str, Any] = {"state": "none", "backend": state.backend.value}
    if state.in_force is not None:
        shown |= {"state": "confirmed", "capture": capture_shown(state.in_force)}
    if state.pending is not None:
        until = datetime.fromtimestamp(state.pending.until, UTC)
        shown |= {"state": "on trial", "until": until.isoformat(timespec="seconds")}
    if became is not Found.THERE:
        shown["state"] = became.value
    if output == "json":
        click.echo(json.dumps(shown))
        return
    if became is not Found.THERE:
        click.echo(f"{BECAME[became]}; to bring them back: proxyd intercept apply --boot")
        return
    click.echo(shown["state"] + (f" until {shown['until']}" if "until" in shown else ""))


@intercept.command("take-back", hidden=True)
@click.option("--trial", required=True, help="The mark of the trial.")
@click.option("--intercept-dir", required=True)
@click.option("--instance", default="")
def take_back(trial: str, intercept_dir: str, instance: str) -> None:
    """Wait for the end of a trial, and take its rules back unless they were confirmed."""
    interception = Interception(Path(intercept_dir), instance)
    with _failures():
        while (left := interception.left(trial)) > 0:
            time.sleep(min(left, NOTICE_SECONDS))
        interception.take_back(trial)


def _settings(config: str, flags: dict[str, Any]) -> ProxydSettings:
    file = config if config != CONFIG or Path(config).exists() else None
    try:
        return load(ProxydSettings, name="proxyd", file=file, environ=os.environ, flags=flags)
    except ArtemonError as error:
        _fail(error, status=2)


def _interception(settings: ProxydSettings) -> Interception:
    return Interception(Path(settings.intercept_dir), settings.instance)


def _resolved(settings: ProxydSettings) -> tuple[Capture, Machine]:
    if not settings.intercepts:
        raise ArtemonError("interception is NONE in the settings: set it to REDIRECT or TPROXY")
    machine = look(counted(settings))
    return resolve(settings, sessions=machine.sessions, resolvers=machine.resolvers), machine


def _script(captures: Sequence[Capture], backend: Backend) -> str:
    if backend is Backend.NFT:
        return nft.ruleset(*captures)
    return "".join(
        f"# IPv{version}\n{iptables.restore(*captures, version=version, present='')}" for version in (4, 6)
    )


def _plan_shown(captures: Sequence[Capture], machine: Machine, script: str) -> dict[str, Any]:
    return {
        "capture": capture_shown(captures[0]),
        "script": script,
        "sockets": [
            {"address": one.address, "port": one.port, "program": one.program, "becomes": told}
            for one, told in sockets_told(captures, machine)
        ],
        "connections": len(machine.connections),
    }


def _unready(settings: ProxydSettings) -> list[str]:
    """Why there is nobody whom connections could be led to."""
    reason = unready(settings)
    if reason is None:
        return []
    return [f"the proxy is not ready ({reason}): every connection would fail; start it, or say --now"]


@contextmanager
def _failures() -> Iterator[None]:
    """Ends the command with one line for each problem."""
    try:
        yield
    except Refused as error:
        _fail(error, status=2)
    except ArtemonError as error:
        _fail(error, status=1)


def _fail(error: object, *, status: int) -> NoReturn:
    for line in str(error).splitlines():
        click.echo(f"{NAME}: {line}", err=True)
    sys.exit(status)
