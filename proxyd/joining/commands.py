"""`proxyd join`, `proxyd leave`, `proxyd check`."""

from __future__ import annotations

import codecs
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click
import yaml

from artemon.daemon.address import address_text, split_address
from artemon.daemon.identity_files import load_identity
from artemon.daemon.settings import load, options
from artemon.errors import ArtemonError, Refused
from artemon.model.service import Protocol
from proxyd.joining import running
from proxyd.joining.consul import registered
from proxyd.joining.instance import config_of, defaults
from proxyd.joining.peer import meet
from proxyd.joining.steps import SECONDS, join_machine, leave_machine, obtain, write_settings
from proxyd.settings import ProxydSettings

NAME = "proxyd"
GALLEYD_PORT, CITADELD_PORT, PILOTD_PORT = 15014, 15013, 15012
DEFAULT_FILE = "/etc/artemon/proxyd.yaml"
_config = click.option(
    "--config", metavar="FILE", default=DEFAULT_FILE, show_default=True, help="File of settings."
)

_name = click.option(
    "--name", metavar="NAME", help="Of this proxy, where a machine has several; its file is proxyd/NAME.yaml."
)


@options(ProxydSettings)
@click.command()
@click.argument("url", required=False)
@click.option("--token-file", metavar="FILE", help="File with the one-time join token.")
@click.option("--bundle", metavar="FILE", help="What `meshctl vm bootstrap` wrote, in place of all else.")
@click.option("--config", metavar="FILE", default=DEFAULT_FILE, show_default=True, help="File to write.")
@_name
@click.option("--from-consul", metavar="SERVICE", help="Be what this machine's Consul agent registered.")
@click.option("--no-start", is_flag=True, help="Obtain the identity and write the settings, and no more.")
def join(
    url: str | None,
    *,
    token_file: str | None,
    bundle: str | None,
    config: str,
    name: str | None,
    from_consul: str | None,
    no_start: bool,
    **flags: Any,
) -> None:
    """Join the mesh of the control plane at URL: identity, settings, service, interception.

    Example: proxyd join https://mesh.example:15014 --token-file token --ca-pin sha256:...
    --namespace shop --service-account cart --service cart --interception REDIRECT
    --ports '[{"name": "http", "number": 80, "protocol": "HTTP", "app_port": 8080}]'
    """
    with tempfile.TemporaryDirectory() as scratch:  # 0700
        try:
            given = _from_bundle(bundle, Path(scratch)) if bundle else {}
            given |= registered(from_consul) if from_consul else {}
            given |= {key: value for key, value in flags.items() if value is not None}
            if url:
                given |= _addresses(url, given)
            if token_file:
                given["join_token_file"] = token_file
            path = _file(config, name)
            if name:
                given = {**defaults(name, path, given), **given}
            _join(given, path, no_start=no_start)
        except Refused as error:
            _fail("join", error, status=2)
        except ArtemonError as error:
            _fail("join", error, status=1)
        except TimeoutError:
            _fail("join", f"citadeld did not answer within {SECONDS:.0f} s", status=3)


@click.command()
@_config
@_name
def leave(config: str, name: str | None) -> None:
    """Leave the mesh, and take away all that `join` made.

    Example: proxyd leave --name web
    """
    try:
        config = str(_file(config, name))
        settings = load(ProxydSettings, name=NAME, file=config, environ=os.environ, flags={})
        leave_machine(settings, Path(config), _tell)
    except ArtemonError as error:
        _fail("leave", error, status=1)
    click.echo("left; the certificate ends by itself, or now by: meshctl certificate revoke")


@click.command()
@_config
@_name
@click.option(
    "--to", metavar="HOST:PORT", help="A workload of the mesh; by default this one, by its own proxy."
)
def check(config: str, name: str | None, to: str | None) -> None:
    """Make a request by mutual TLS, and say who met whom.

    Example: proxyd check --to 10.0.0.9:8080
    """
    try:
        config = str(_file(config, name))
        settings = load(ProxydSettings, name=NAME, file=config, environ=os.environ, flags={})
        _become(settings)
        identity = load_identity(
            Path(settings.data_dir), settings.identity_options.spiffe_id, datetime.now(UTC)
        )
        if identity is None:
            raise ArtemonError("there is no identity yet")
        address, http = _target(settings, to)
        met = meet(identity, address, http=http, host=settings.service or "mesh")
    except ArtemonError as error:
        _fail("check", error, status=1)
    answer = f", which answered HTTP {met.status}" if met.status else ""
    place = f"{address[0]}:{address[1]}"
    click.echo(f"mutual TLS: {identity.spiffe_id} met {met.peer} at {place}{answer}")


def _file(config: str, name: str | None) -> Path:
    """Where the settings are: said by `--config`, else by the proxy's name."""
    return config_of(name) if name and config == DEFAULT_FILE else Path(config)


def _join(given: dict[str, Any], config: Path, *, no_start: bool) -> None:
    settings = load(ProxydSettings, name=NAME, file=None, environ=os.environ, flags=given)
    shows = settings.join_token_file or settings.evidence.is_there
    if shows and not settings.ca_pin:
        raise ArtemonError("set --ca-pin to the root certificate, or its SHA-256: whom may we trust?")
    if not settings.citadeld:
        raise ArtemonError(f"say where: https://HOST:{GALLEYD_PORT}, or --bundle FILE")
    if no_start:
        identity = obtain(settings)
        write_settings(config, settings)
        click.echo(
            f"joined as {identity.spiffe_id}; settings are in {config}; now: proxyd run --config {config}"
        )
        return
    join_machine(settings, config, ask=bool(shows), tell=_tell)
    click.echo("joined")


def _from_bundle(file: str, scratch: Path) -> dict[str, Any]:
    """The settings of a bundle; its token and root become files for as long as joining takes."""
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        settings = dict(content["settings"])
        token = scratch / "token"
        token.touch(0o600)
        token.write_text(str(content["token"]), encoding="ascii")
        settings |= {"join_token_file": str(token), "ca_pin": str(content["caPin"])}
    except (OSError, UnicodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ArtemonError(f"{file}: is not a bundle of `meshctl vm bootstrap`: {error!r}") from error
    return settings


def _addresses(url: str, given: dict[str, Any]) -> dict[str, Any]:
    """citadeld's and pilotd's, from the URL of the control plane: galleyd's port, or citadeld's."""
    parts = urlsplit(url if "//" in url else f"https://{url}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "https" or not parts.hostname or (port is None and ":" in parts.netloc.strip("[]")):
        raise ArtemonError(f'"{url}" is not a URL such as https://mesh.example:{GALLEYD_PORT}')
    port = CITADELD_PORT if port in (None, GALLEYD_PORT) else port
    return {
        "citadeld": given.get("citadeld") or address_text(parts.hostname, port),
        "pilotd": given.get("pilotd") or address_text(parts.hostname, PILOTD_PORT),
    }


def _target(settings: ProxydSettings, to: str | None) -> tuple[tuple[str, int], bool]:
    """Where to, and whether HTTP is spoken there: the first port of our own, or pilotd."""
    own = next(iter(settings.port_list), None) if settings.intercepts or to else None
    if to:
        return split_address(to), True
    if own is None:
        return split_address(settings.pilotd[0]), False
    return (settings.ip_address, int(str(own["listenPort"]))), Protocol.parse(str(own["protocol"])).is_http


def _become(settings: ProxydSettings) -> None:
    """The proxy's user: it may read the key, and its connections are not led elsewhere."""
    uid, gid = running.ids(settings)
    if os.geteuid() == 0 and uid != 0:
        codecs.lookup("idna")  # names need it, and Python may lie where that user cannot read: below /root
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _tell(step: str) -> None:
    click.echo(f"  ok  {step}")


def _fail(command: str, error: object, *, status: int) -> NoReturn:
    for line in str(error).splitlines():
        click.echo(f"{NAME} {command}: {line}", err=True)
    sys.exit(status)
