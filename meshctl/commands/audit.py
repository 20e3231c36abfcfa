"""meshctl audit: the log of changes and refusals, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from artemon.daemon.audit import check_file, head_path
from artemon.errors import ArtemonError
from artemon.log import printable
from meshctl.connection import connected, connected_unless, table, talk
from meshctl.context import Target
from meshctl.forms import output, show

_PATH = "/artemon/v1/audit"


@click.group()
def audit() -> None:
    """Read galleyd's audit log, and check that nothing was cut, changed or moved in one.

    Example: meshctl audit list --limit 20
    """


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="So many lines.")
@output("text", "json", "yaml")
@connected
def list_lines(target: Target, *, limit: int, output: str) -> int:
    """List the newest lines, the newest first.

    Example: meshctl audit list --limit 5 -o json
    """
    query = {"limit": limit}
    items = talk(target, lambda client: client.request("GET", _PATH, query=query)).value["items"]
    if output != "text":
        show(items, output)
        return 0
    click.echo(table(["AT", "DECISION", "WHO", "WHAT"], [_row(item) for item in items]))
    return 0


def _row(item: dict[str, Any]) -> list[str]:
    what = [", ".join(map(str, item.get("objects", ()))), f"{item.get('method', '')} {item.get('path', '')}"]
    what += [f"revision {item['revision']}" if "revision" in item else "", str(item.get("reason", ""))]
    cells = [item.get("at", ""), item.get("decision", ""), item.get("who", item.get("address", "-"))]
    return [printable(cell) for cell in (*cells, " ".join(part for part in what if part.strip()))]


@audit.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@connected_unless("file")
def verify(target: Target | None, *, file: Path | None) -> int:
    """Say whether every line follows from the one before: of FILE (with its head beside it), or, without one,
    of galleyd's own log, judged by galleyd. Works for citadeld's logs as well.

    Example: meshctl audit verify /var/lib/artemon/galleyd/audit.jsonl
    """
    if file is not None:
        count = check_file(file)
        if not head_path(file).exists():
            click.echo(f"{head_path(file)} is missing: lines cut off at the end would not show", err=True)
        click.echo(f"{count} lines, none missing, none changed")
        return 0
    assert target is not None
    found = talk(target, lambda client: client.request("GET", f"{_PATH}/check")).value
    if not found["ok"]:
        raise ArtemonError(found["problem"])
    click.echo(f"{found['lines']} lines, none missing, none changed")
    return 0
