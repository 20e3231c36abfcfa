"""How progress and checks are shown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import click
from rich.console import Console
from rich.status import Status
from rich.text import Text

from meshctl.up.bring import Mesh
from meshctl.up.checks import Check, gateway_url


def step(console: Console, progress: Status, text: str) -> None:
    """One more step: a spinner on a terminal, a line elsewhere."""
    if console.is_terminal:
        progress.update(text)
    else:
        console.print(f"{text} …", highlight=False)


def show(mesh: Mesh, found: Sequence[Check]) -> None:
    """The check-list, and where to go from here."""
    console = Console()
    for section, rows in groupby(found, key=lambda check: check.section):
        console.print(Text(f"\n{section}\n{'-' * len(section)}", style="bold"))
        for check in rows:
            _show(console, check)
    good = all(check.ok for check in found)
    console.print()
    console.print(Text("Status check results are √" if good else "Status check results are ×", style="bold"))
    if mesh.demo:
        click.echo(f"the page:  {gateway_url(mesh.layout)}/productpage")
    click.echo(f"the API:   {mesh.layout.server}  (meshctl get virtualservices -A)")


def _show(console: Console, check: Check) -> None:
    mark = Text("√ ", style="green") if check.ok else Text("× ", style="bold red")
    detail = Text(f"  {check.detail}" if check.detail else "", style="dim" if check.ok else "red")
    console.print(Text.assemble(mark, check.name, detail), soft_wrap=True)
    for line in check.lines:
        console.print(Text(f"    {line}", style="dim"), soft_wrap=True)


def fields(mesh: Mesh, found: Sequence[Check]) -> dict[str, object]:
    """The same for programs (interface: `meshctl status -o json`)."""
    answer: dict[str, object] = {
        "healthy": all(check.ok for check in found),
        "checks": [
            {"name": check.name, "ok": check.ok, "detail": "; ".join(part for part in parts if part)}
            for check in found
            for parts in [(check.detail, *check.lines)]
        ],
        "processes": [
            {"name": name, "role": process.role, "pid": process.pid} for name, process in mesh.running.items()
        ],
        "server": mesh.layout.server,
    }
    if mesh.demo:
        answer["gateway"] = gateway_url(mesh.layout)
    return answer
