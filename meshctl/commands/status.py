"""meshctl status: the checks of `meshctl up` again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from artemon.errors import Unavailable
from meshctl.up import report
from meshctl.up.bring import Mesh, examine
from meshctl.up.located import located


@click.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where it is kept.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="For whom.")
def status(folder: Path | None, output: str) -> int:
    """Check the mesh on this machine; exit status 1 when something does not hold.

    Example: meshctl status -o json
    """
    home = located(folder)
    mesh = Mesh.known(home)
    if mesh is None or not mesh.running:
        raise Unavailable(f"no mesh runs from {home}; bring one up with: meshctl up --demo --dir {home}")
    found = asyncio.run(examine(mesh))
    (report.as_json if output == "json" else report.show)(mesh, found)
    return 0 if all(check.ok for check in found) else 1
