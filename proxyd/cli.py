"""proxyd's subcommands."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any, NoReturn

import click

from artemon.daemon.run import daemon
from artemon.daemon.run import run as run_daemon
from artemon.daemon.settings import load, options
from artemon.errors import ArtemonError
from proxyd.app import app
from proxyd.settings import ProxydSettings

NAME = "proxyd"

_config = click.option("--config", metavar="FILE", default=None, help="YAML file of settings.")


@options(ProxydSettings)
@click.command()
@_config
@click.option("--check-config", is_flag=True, help="Say whether the settings are valid, and exit.")
@click.option("--print-config", is_flag=True, help="Print the settings in force, and exit.")
def run(config: str | None, check_config: bool, print_config: bool, **flags: Any) -> None:
    """Run until told to stop. The same as without a subcommand.

    Example: proxyd run --config /etc/artemon/proxyd.yaml
    """
    run_daemon(NAME, ProxydSettings, app, config=config, flags=flags, only=(check_config, print_config))


@options(ProxydSettings)
@click.command()
@_config
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(config: str | None, output: str, **flags: Any) -> None:
    """Say whether the proxyd of these settings is ready, and what it waits for.

    Example: proxyd status --config /etc/artemon/proxyd.yaml
    """
    try:
        settings = load(ProxydSettings, name=NAME, file=config, environ=os.environ, flags=flags)
    except ArtemonError as error:
        _fail("status", error, status=2)
    try:
        report = _ask(f"http://{settings.status_address}/readyz")
    except (OSError, ValueError) as error:
        _fail("status", f"proxyd does not answer on {settings.status_address}: {error}", status=3)
    click.echo(json.dumps(report) if output == "json" else _text(report))
    sys.exit(0 if report.get("ready") else 1)


def _fail(command: str, error: object, *, status: int) -> NoReturn:
    click.echo(f"{NAME} {command}: {error}", err=True)
    sys.exit(status)


def _ask(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http, from our settings
            content = answer.read()
    except urllib.error.HTTPError as error:
        content = error.read()
    report: dict[str, Any] = json.loads(content)
    return report


def _text(report: dict[str, Any]) -> str:
    lines = ["ready" if report.get("ready") else "not ready"]
    lines += [f"  {name}: {reason}" for name, reason in sorted(report.get("waiting", {}).items())]
    return "\n".join(lines)


LATER = {
    "join": "proxyd.joining.commands",
    "leave": "proxyd.joining.commands",
    "check": "proxyd.joining.commands",
    "drain": "proxyd.draining",
    "intercept": "proxyd.intercept.commands",
}
"""What needs much that a proxyd which runs does not."""
proxyd = daemon(NAME, ProxydSettings, app, commands=(run, status), later=LATER)
