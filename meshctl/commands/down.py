"""meshctl down: stop what `meshctl up` started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from meshctl.up.bring import Mesh
from meshctl.up.bring import down as bring_down
from meshctl.up.located import located


@click.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where it is kept.")
def down(folder: Path | None) -> None:
    """Stop exactly what `meshctl up` started; what it keeps on disk stays.

    Example: meshctl down
    """
    home = located(folder)
    mesh = Mesh.known(home)
    stopped = asyncio.run(bring_down(mesh)) if mesh else []
    click.echo(f"stopped {len(stopped)} processes" if stopped else f"nothing runs from {home}")
