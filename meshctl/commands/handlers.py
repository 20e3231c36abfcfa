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
    """Show the handlers of rules, at every mixerd: whether they work, what waits for them; and objects that
    cannot be used.

    Ends with 1 when a handler fails, an object cannot be used, or a mixerd does not answer.

    Example: meshctl handlers
    """
    found = known(target, "handlers")
    bad = bool(found["problems"] or found.get("unreachable")) or any(
        one["state"] != "ok" for one in found["items"]
    )
    if output != "text":
        show(found, output)
        return int(bad)
    several = len({one.get("mixerd") for one in found["items"]}) > 1
    rows = [
        [
            one["name"],
            *([one["mixerd"]] if several else []),
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
        where = ["MIXERD"] if several else []
        click.echo(
            table(["HANDLER", *where, "ADAPTER", "STATE", "SENT", "WAITING", "DROPPED", "REASON"], rows)
        )
    else:
        click.echo("there are no handlers", err=True)
    for one in found.get("unreachable", ()):
        click.echo(f"{one['mixerd']}: {one['error']}", err=True)
    for one in found["problems"]:
        click.echo(f"{one['object']}: {one['reason']}", err=True)
    return int(bad)
