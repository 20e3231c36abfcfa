"""meshctl logs: recent lines of access logs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from meshctl.connection import connected
from meshctl.context import Target
from meshctl.forms import output, show
from meshctl.telemetry import known, milliseconds


@click.command()
@click.option("--service", default="", help="Only of this ([namespace/]service), as caller or as called.")
@click.option("--code", default="", help="Only with this status.")
@click.option("--reporter", type=click.Choice(["source", "destination"]), help="Only what this side tells.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@output("text", "json", "yaml")
@connected
def logs(target: Target, *, service: str, code: str, reporter: str | None, limit: int, output: str) -> int:
    """Show recent requests and connections, the latest last.

    Example: meshctl logs --service reviews --code 503
    """
    found = known(target, "logs", service=service, code=code, reporter=reporter or "", limit=limit)
    if output != "text":
        show(found, output)
        return 0
    for one in reversed(found["items"]):
        click.echo(_line(one))
    if not found["items"]:
        click.echo("there are no such lines", err=True)
    return 0


def _line(one: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(one["at"], UTC).strftime("%H:%M:%S.%f")[:-3]
    source = "/".join(filter(None, (one["source_namespace"], one["source"])))
    target = "/".join(filter(None, (one["namespace"], one["service"])))
    asked = f"{one['method']} {one['path']}" if one["protocol"] != "tcp" else "tcp"
    outcome = " ".join(filter(None, (str(one["code"] or "-"), one["flags"])))
    return (
        f"{at} {one['reporter']:<11} {source} -> {target} {asked} {outcome} {milliseconds(one['duration'])}"
    )
