"""meshctl ca: the roots of the mesh, and rotating them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from artemon.daemon.offline import Ceremony, make_offline
from artemon.kube import Client
from artemon.pki.certificate import fingerprint
from artemon.pki.keys import KeyType
from artemon.pki.spiffe import check_trust_domain
from meshctl.connection import connected, talk
from meshctl.context import Target
from meshctl.forms import output, show

_PATH = "/artemon/v1/ca"
PHASES = ("prepare", "trust", "activate", "taint", "revoke")
IDLE = "idle"
POLL_SECONDS = 0.5
SHORT = 16
LATE = 3
"""Exit status when the time is over before the rotation."""


@click.group()
def ca() -> None:
    """Show and rotate the roots of the mesh.

    Example: meshctl ca rotate
    """


@ca.command()
@output("text", "json", "yaml")
@connected
def status(target: Target, output: str) -> int:
    """Show the roots that are trusted, and where a rotation is; who holds it up.

    Example: meshctl ca status
    """
    found = talk(target, _status)
    _trust(target, found)
    if output != "text":
        show(found, output)
        return 0
    for number, (root, ends) in enumerate(zip(found["roots"], found["rootEnds"], strict=True)):
        use = "certificates are issued under it" if number == 0 else "trusted"
        click.echo(f"root {root[:SHORT]} until {datetime.fromisoformat(ends):%Y-%m-%d}: {use}")
    click.echo(_line(found))
    for late in found["behind"]:
        click.echo(f"  {late}")
    return 0


@ca.command()
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when the rotation is over.")
@click.option("--timeout", default=3600, type=click.IntRange(1), show_default=True, help="Seconds to wait.")
@connected
def rotate(target: Target, wait: bool, timeout: int) -> int:
    """Make a new root and move everyone to it; no request is lost.

    Phase by phase: prepare, trust, activate, taint, revoke. Each is left when every proxy has confirmed it.
    The rotation goes on when this command is interrupted; `meshctl ca rollback` undoes it.

    Example: meshctl ca rotate --timeout 7200
    """
    return _start(target, "rotate", wait=wait, timeout=timeout)


@ca.command()
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is undone.")
@click.option("--timeout", default=3600, type=click.IntRange(1), show_default=True, help="Seconds to wait.")
@connected
def rollback(target: Target, wait: bool, timeout: int) -> int:
    """Undo the rotation under way, with the same care.

    Example: meshctl ca rollback
    """
    return _start(target, "rollback", wait=wait, timeout=timeout)


@ca.command()
@click.option("--offline", is_flag=True, required=True, help="On a machine without daemons; asks nobody.")
@click.option("--root-dir", required=True, type=click.Path(path_type=Path), help="Of the root; kept offline.")
@click.option("--replica-dir", required=True, type=click.Path(path_type=Path), help="For one citadeld; new.")
@click.option("--trust-domain", default="cluster.local", show_default=True, help="SPIFFE trust domain.")
@click.option(
    "--root-days", default=3650, show_default=True, type=click.IntRange(1, 7300), help="Of the root."
)
@click.option(
    "--days", default=90, show_default=True, type=click.IntRange(1, 365), help="Of the intermediate."
)
@click.option("--key-type", default="p256", show_default=True, type=click.Choice(["p256", "p384", "rsa2048"]))
def init(root_dir: Path, replica_dir: Path, key_type: KeyType, **given: Any) -> int:
    """Make a root, unless it is there, and an intermediate under it for one citadeld.

    Copy REPLICA-DIR to citadeld's data directory, and nothing of ROOT-DIR but, as a pin for those who join,
    root-cert.pem. Once for each replica, and again before an intermediate ends.

    Example: meshctl ca init --offline --root-dir /mnt/usb/root --replica-dir ./citadeld-1
    """
    days, root_days = timedelta(days=given["days"]), timedelta(days=given["root_days"])
    wanted = Ceremony(check_trust_domain(given["trust_domain"]), root_days, days, key_type)
    root = make_offline(root_dir, replica_dir, wanted, now=datetime.now(UTC))
    click.echo(f"root {fingerprint(root)}")
    click.echo(f"copy {replica_dir} to citadeld's data directory, keep {root_dir} offline", err=True)
    return 0


async def _status(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = (await client.request("GET", _PATH)).value
    return found


def _trust(target: Target, found: dict[str, Any]) -> Target:
    """The same mesh, trusted by the roots that it has now; they are kept where those before were."""
    roots = "".join(found["rootsPem"])
    if not target.access.ca or roots == target.access.ca:
        return target
    if target.ca_file is not None:
        beside = target.ca_file.with_name(f".{target.ca_file.name}.next")
        try:
            beside.write_text(roots, encoding="ascii")
            beside.replace(target.ca_file)
        except OSError as error:
            click.echo(
                f"{target.ca_file} is not up to date, keep the new root there: {error.strerror}", err=True
            )
    return replace(target, access=replace(target.access, ca=roots))


def _start(target: Target, verb: str, *, wait: bool, timeout: int) -> int:
    found = talk(target, lambda client: _post(client, verb))
    if not wait:
        found = _once_trusted(target, found, timeout)
        click.echo(_line(found))
        return 0
    until = time.monotonic() + timeout
    with _display(Console(stderr=True)) as tell:
        while found["phase"] != IDLE and time.monotonic() < until:
            tell(found)
            target = _trust(target, found)
            time.sleep(POLL_SECONDS)
            found = talk(target, _status)
    _trust(target, found)
    if found["phase"] != IDLE:
        click.echo(f"{_line(found)}; it goes on", err=True)
        for late in found["behind"]:
            click.echo(f"  {late}", err=True)
        return LATE
    click.echo(f"done: the root is {found['roots'][0][:SHORT]}")
    return 0


def _once_trusted(target: Target, found: dict[str, Any], timeout: int) -> dict[str, Any]:
    """Where it is when both roots are trusted, and known here: galleyd may soon show a certificate of
    either."""
    until = time.monotonic() + timeout
    while found["phase"] == PHASES[0] and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        found = talk(target, _status)
    _trust(target, found)
    return found


async def _post(client: Client, verb: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.request("POST", f"{_PATH}/{verb}", body={})).value
    return found


Tell = Callable[[dict[str, Any]], None]


def _display(console: Console) -> AbstractContextManager[Tell]:
    """A bar of the phases on a terminal, else a line for each change."""
    if console.is_terminal:
        return _Bars(console)
    told: list[str] = []

    def tell(found: dict[str, Any]) -> None:
        line = _line(found)
        if told[-1:] != [line]:
            told.append(line)
            click.echo(line, err=True)

    return nullcontext(tell)


class _Bars(AbstractContextManager[Tell]):
    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[late]}"), console=console)
        self._phases = self._progress.add_task("rotation", total=len(PHASES), late="")
        self._confirmed = self._progress.add_task("confirmed", total=None, late="")

    def __enter__(self) -> Tell:
        self._progress.start()
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _tell(self, found: dict[str, Any]) -> None:
        done = PHASES.index(found["phase"]) if found["phase"] in PHASES else len(PHASES)
        self._progress.update(self._phases, completed=done, description=f"phase {found['phase']}")
        count, total = found["confirmedCount"], found["totalCount"]
        late = found["behind"][0] if found["behind"] else ""
        self._progress.update(self._confirmed, completed=count, total=total, late=late)


def _line(found: dict[str, Any]) -> str:
    if found["phase"] == IDLE:
        return "no rotation is under way"
    roots = f"{found['oldRoot'][:SHORT]} -> {found['newRoot'][:SHORT]}"
    late = f", behind: {found['behind'][0]}" if found["behind"] else ""
    return f"phase {found['phase']}: {roots}, confirmed {found['confirmedCount']}/{found['totalCount']}{late}"
