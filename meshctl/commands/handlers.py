"""meshctl handlers: how the handlers of rules do."""

from __future__ import annotations

import click

from meshctl.connection import connected, table
from meshctl.context import Target
from meshctl.forms import output, show
from meshctl.telemetry import known


@click.command()
@output("text", "json", "yaml")
@connected
def handlers(target: Target, output: str) -> int:
    """Show the handlers of rules: whether they work, what waits for them; and objects that cannot be used.

    Ends with 1 when a handler fails or an object cannot be used.

    Example: meshctl handlers
    """
    found = known(target, "handlers")
    bad = bool(found["problems"]) or any(one["state"] != "ok" for one in found["items"])
    if output != "text":
        show(found, output)
        return int(bad)
    rows = [
        [
            one["name"],
            one.get("adapter", ""),
            one["state"],
            str(one.get("sent", "")),
            str(one.get("waiting", "")),
            str(one.get("dropped", "")),
            one["reason"],
        ]
        for one in found["items"]
    ]
    if rows:
        click.echo(table(["HANDLER", "ADAPTER", "STATE", "SENT", "WAITING", "DROPPED", "REASON"], rows))
    else:
        click.echo("there are no handlers", err=True)
    for one in found["problems"]:
        click.echo(f"{one['object']}: {one['reason']}", err=True)
    return int(bad)
