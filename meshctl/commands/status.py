"""meshctl status: the checks of `meshctl up` again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from artemon.errors import Unavailable
from meshctl.forms import output as output_form
from meshctl.forms import show
from meshctl.up import report
from meshctl.up.bring import Mesh, examine
from meshctl.up.located import located


@click.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where it is kept.")
@output_form("text", "json", "yaml")
def status(folder: Path | None, output: str) -> int:
    """Check the mesh on this machine; exit status 1 when something does not hold.

    Example: meshctl status -o json
    """
    home = located(folder)
    mesh = Mesh.known(home)
    if mesh is None or not mesh.running:
        raise Unavailable(f"no mesh runs from {home}; bring one up with: meshctl up --demo --dir {home}")
    found = asyncio.run(examine(mesh))
    if output == "text":
        report.show(mesh, found)
    else:
        show(report.fields(mesh, found), output)
    return 0 if all(check.ok for check in found) else 1
