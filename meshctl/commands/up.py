"""meshctl up: a whole mesh on this machine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Sequence
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from pathlib import Path

import click
from rich.console import Console

from artemon.errors import ArtemonError
from meshctl.context import remember_context
from meshctl.up import report
from meshctl.up.bring import Mesh
from meshctl.up.bring import up as bring_up
from meshctl.up.checks import Check
from meshctl.up.layout import Layout, default_folder


def network(_: click.Context, __: click.Parameter, value: str) -> IPv4Network:
    """A loopback network with room for every instance."""
    try:
        found = IPv4Network(value)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise click.BadParameter(f"{value} is not an IPv4 network such as 127.0.1.0/24") from error
    if not found.is_loopback or found.num_addresses < 32:
        raise click.BadParameter("must lie in 127.0.0.0/8 and have at least 32 addresses")
    return found


def _registry(asked: str | None, known: Mesh | None, layout: Layout) -> str:
    """What was asked for, or what runs. Raises ArtemonError for another than what runs."""
    running = known.registry if known is not None and known.running else None
    if asked and running and asked != running:
        way_out = "meshctl registry migrate moves it, or stop the mesh first: meshctl down"
        raise ArtemonError(f"the mesh runs on the registry {running}; {way_out}")
    return asked or running or layout.registry


async def _stopped_whole(work: Awaitable[Sequence[Check]]) -> Sequence[Check]:
    """`work`, which ends in order when the terminal closes or somebody ends this process, as with Ctrl-C."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise click.exceptions.Abort from None


@click.command()
@click.option("--demo", is_flag=True, help="Run the Bookinfo sample behind an ingress gateway as well.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept."
)
@click.option(
    "--registry",
    help="URL of the registry, or etcd or consul: three members are started. Default: a SQLite file.",
)
@click.option(
    "--network", "addresses", default="127.0.1.0/24", callback=network, show_default=True,
    help="Loopback network that everything listens in.",
)  # fmt: skip
def up(demo: bool, folder: Path | None, registry: str | None, addresses: IPv4Network) -> int:
    """Bring a mesh up on this machine, without root, and check that it works.

    Example: meshctl up --demo
    """
    home = (folder or default_folder()).absolute()
    layout = Layout(folder=home, network=addresses)
    known = Mesh.known(home)
    if known is not None and known.running and known.layout.network != addresses:
        way_out = f"stop it first: meshctl down --dir {home}"
        raise ArtemonError(f"a mesh in {known.layout.network} runs from {home}; {way_out}")
    demo = demo or bool(known and known.running and known.demo)
    mesh = Mesh(layout=layout, demo=demo, registry=_registry(registry, known, layout))
    console = Console(stderr=True)
    with console.status("") as progress:
        found = asyncio.run(_stopped_whole(bring_up(mesh, lambda step: report.step(console, progress, step))))
    report.show(mesh, found)
    try:
        remember_context("artemon", server=layout.server, ca=layout.roots, token=layout.admin_token)
    except ArtemonError as error:  # the mesh runs all the same
        way_out = f"--server {layout.server} --ca {layout.roots} --token-file {layout.admin_token}"
        click.echo(f"warning: {error}; other commands need {way_out}", err=True)
    return 0 if all(check.ok for check in found) else 1
