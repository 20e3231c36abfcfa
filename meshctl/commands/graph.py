"""meshctl graph: who calls whom."""

from __future__ import annotations

import json
from typing import Any

import click

from meshctl.connection import connected, table
from meshctl.context import Target
from meshctl.forms import output, show
from meshctl.telemetry import known, milliseconds, percent


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(5, 86400), default=60, show_default=True, help="How far back."
)
@output("text", "json", "yaml", "dot")
@connected
def graph(target: Target, seconds: float, output: str) -> int:
    """Show who calls whom: rate, errors, latency, and whether it is over mutual TLS.

    Example: meshctl graph -o dot | dot -Tsvg
    """
    found = known(target, "graph", seconds=seconds)
    if output == "dot":
        click.echo(_dot(found["edges"]))
    elif output != "text":
        show(found, output)
    elif found["edges"]:
        header = ["FROM", "TO", "PROTOCOL", "RATE", "ERRORS", "P50", "P99", "MTLS"]
        click.echo(table(header, [_row(one) for one in found["edges"]]))
    else:
        click.echo("nobody called anybody in that time", err=True)
    return 0


def _row(one: dict[str, Any]) -> list[str]:
    mtls = "-" if one["mtls"] is None else percent(one["mtls"])
    times = (milliseconds(one["p50"]), milliseconds(one["p99"]))
    return [
        one["source"],
        one["target"],
        one["protocol"],
        f"{one['rate']:.1f}/s",
        percent(one["errors"]),
        *times,
        mtls,
    ]


def _dot(edges: list[dict[str, Any]]) -> str:
    lines = (
        f'  {json.dumps(one["source"])} -> {json.dumps(one["target"])} [label="{one["rate"]:.1f}/s"];'
        for one in edges
    )
    return "\n".join(("digraph mesh {", *lines, "}"))
