"""proxyd's subcommands: run, join, status."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click
import yaml

from artemon import log
from artemon.daemon.files import make_private_dir, write_public
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.run import daemon
from artemon.daemon.run import run as run_daemon
from artemon.daemon.settings import load, options
from artemon.errors import ArtemonError, Refused
from proxyd.app import app
from proxyd.intercept.commands import intercept
from proxyd.settings import ProxydSettings

NAME = "proxyd"
CITADELD_PORT, PILOTD_PORT = 15013, 15012
SECONDS = 30.0
DEFAULT_FILE = "/etc/artemon/proxyd.yaml"

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
@click.argument("url")
@click.option("--token-file", required=True, metavar="FILE", help="File with the one-time join token.")
@click.option("--config", metavar="FILE", default=DEFAULT_FILE, show_default=True, help="File to write.")
def join(url: str, token_file: str, config: str, **flags: Any) -> None:
    """Obtain an identity from the citadeld at URL, and write the settings to run with.

    Example: proxyd join https://mesh.example:15013 --token-file token --ca-pin sha256:...
    --namespace shop --service-account cart --service cart
    --ports '[{"name": "http", "number": 80, "protocol": "HTTP", "app_port": 8080}]'
    """
    try:
        host, port = _target(url)
        known = {"citadeld": f"{host}:{port}", "pilotd": flags.get("pilotd") or f"{host}:{PILOTD_PORT}"}
        given = {**flags, **known, "join_token_file": token_file}
        settings = load(ProxydSettings, name=NAME, file=None, environ=os.environ, flags=given)
        if not settings.ca_pin:
            raise ArtemonError("set --ca-pin to the root certificate, or its SHA-256: whom may we trust?")
        identity = asyncio.run(_join(settings))
        _write(Path(config), settings)
    except Refused as error:
        _fail("join", error, status=2)
    except ArtemonError as error:
        _fail("join", error, status=1)
    except TimeoutError:
        _fail("join", f"citadeld at {url} did not answer within {SECONDS:.0f} s", status=3)
    click.echo(f"joined as {identity}; settings are in {config}; now: proxyd run --config {config}")


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
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    try:
        report = _ask(f"http://{host}:{settings.status_port}/readyz")
    except (OSError, ValueError) as error:
        _fail("status", f"proxyd does not answer on {host}:{settings.status_port}: {error}", status=3)
    click.echo(json.dumps(report) if output == "json" else _text(report))
    sys.exit(0 if report.get("ready") else 1)


def _fail(command: str, error: object, *, status: int) -> NoReturn:
    click.echo(f"{NAME} {command}: {error}", err=True)
    sys.exit(status)


def _target(url: str) -> tuple[str, int]:
    parts = urlsplit(url if "//" in url else f"https://{url}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "https" or not parts.hostname or (port is None and ":" in parts.netloc.strip("[]")):
        raise ArtemonError(f'"{url}" is not a URL such as https://mesh.example:{CITADELD_PORT}')
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host, port or CITADELD_PORT


async def _join(settings: ProxydSettings) -> str:
    log.setup(level="warning", form=settings.log_format)
    make_private_dir(Path(settings.data_dir))
    keeper = IdentityKeeper(settings.identity_options, log.Log(NAME))
    await asyncio.wait_for(keeper.start(), SECONDS)
    return str(keeper.current().spiffe_id)


def _write(path: Path, settings: ProxydSettings) -> None:
    values = settings.model_dump(mode="json", exclude_unset=True, exclude={"join_token_file"})
    values["node"] = settings.node or socket.gethostname()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtemonError(f"{path.parent} cannot be made: {error.strerror}") from error
    write_public(path, yaml.safe_dump(values, sort_keys=False).encode())


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


proxyd = daemon(NAME, ProxydSettings, app, commands=(run, join, status, intercept))
