"""meshctl traces: recent traces, or one of them as a waterfall."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import click

from meshctl.connection import connected, table
from meshctl.context import Target
from meshctl.forms import output, show
from meshctl.telemetry import known, milliseconds

WIDTH = 40


@click.command()
@click.argument("trace", required=False)
@click.option("--service", default="", help="Only traces that this ([namespace/]service) is part of.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@output("text", "json", "yaml")
@connected
def traces(target: Target, trace: str | None, service: str, limit: int, output: str) -> int:
    """Show recent traces, or the spans of one.

    Example: meshctl traces --service reviews
    """
    if trace:
        found = known(target, "trace", id=trace)
        text = waterfall(found["items"])
    else:
        found = known(target, "traces", service=service, limit=limit)
        text = [
            table(
                ["TRACE", "BEGAN", "DURATION", "SPANS", "FAILED", "WHERE"],
                [_row(one) for one in found["items"]],
            )
        ]
    if output != "text":
        show(found, output)
    elif found["items"]:
        click.echo("\n".join(text))
    else:
        click.echo(f"there is no trace {trace}" if trace else "there are no traces yet", err=True)
    return 0 if found["items"] or not trace else 1


def _row(one: dict[str, Any]) -> list[str]:
    began = datetime.fromtimestamp(one["start"] / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
    where = f"{one['namespace']}/{one['service']} {one['name']}"
    return [one["trace"], began, milliseconds(one["duration"]), str(one["spans"]), str(one["failed"]), where]


def waterfall(spans: list[dict[str, Any]]) -> list[str]:
    """One line for each span, below the one that it belongs to."""
    if not spans:
        return []
    begin = min(one["start"] for one in spans)
    whole = max(one["start"] / 1e6 + one["duration"] for one in spans) - begin / 1e6 or 1.0
    below: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    known_spans = {one["span"] for one in spans}
    for one in spans:
        below[one["parent"] if one["parent"] in known_spans else ""].append(one)
    lines: list[str] = []

    def write(parent: str, depth: int) -> None:
        for one in sorted(below.get(parent, ()), key=lambda span: span["start"]):
            first = round((one["start"] - begin) / 1e6 / whole * WIDTH)
            length = max(1, round(one["duration"] / whole * WIDTH))
            bar = " " * min(first, WIDTH - 1) + "█" * min(length, WIDTH - min(first, WIDTH - 1))
            name = f"{'  ' * depth}{one['service']} {one['name']} ({one['kind']})"
            failed = " FAILED" if one["failed"] else ""
            lines.append(f"{name[:50]:<50} |{bar:<{WIDTH}}| {milliseconds(one['duration'])}{failed}")
            if one["span"] != parent:
                write(one["span"], depth + 1)

    write("", 0)
    return lines
