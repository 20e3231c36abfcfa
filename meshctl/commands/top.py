"""meshctl top: which services are asked how often."""

from __future__ import annotations

import click

from meshctl.connection import connected, table
from meshctl.context import Target
from meshctl.forms import output, show
from meshctl.telemetry import known, milliseconds, percent


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(5, 86400), default=60, show_default=True, help="How far back."
)
@output("text", "json", "yaml")
@connected
def top(target: Target, seconds: float, output: str) -> int:
    """Show services by how often they were asked: rate, errors, latency, share of each version.

    Example: meshctl top --seconds 300
    """
    found = known(target, "top", seconds=seconds)
    if output != "text":
        show(found, output)
        return 0
    rows = [
        [
            one["name"],
            f"{one['rate']:.1f}/s",
            percent(one["errors"]),
            milliseconds(one["p50"]),
            milliseconds(one["p99"]),
            _shares(one["versions"]),
        ]
        for one in found["items"]
    ]
    if rows:
        click.echo(table(["SERVICE", "RATE", "ERRORS", "P50", "P99", "VERSIONS"], rows))
    else:
        click.echo("nothing was asked in that time", err=True)
    return 0


def _shares(versions: dict[str, int]) -> str:
    everything = sum(versions.values())
    return " ".join(f"{name} {percent(number / everything)}" for name, number in versions.items())
