"""Waiting until the proxies have a revision, and saying how it went."""

from __future__ import annotations

from typing import Any

import click

from artemon.kube import Client

DEFAULT = 30
UNKNOWN = 3
MARGIN = 5.0


def wait_option(command: Any) -> Any:
    """Adds `--wait[=SECONDS]`."""
    return click.option(
        "--wait",
        type=click.IntRange(1, 600),
        is_flag=False,
        flag_value=DEFAULT,
        metavar="[SECONDS]",
        help=f"Return when every proxy has it ({DEFAULT} s unless given).",
    )(command)


async def reached(client: Client, revision: int, seconds: int, *, view: str = "") -> dict[str, Any]:
    """What galleyd tells of the proxies' progress, at the latest after `seconds`. view: "bundle" or "revoked"
    when it is about what is trusted."""
    query: dict[str, Any] = {"revision": revision, "timeout": seconds}
    if view:
        query["view"] = view
    answer = await client.request("GET", "/artemon/v1/wait", query=query, seconds=seconds + MARGIN)
    found: dict[str, Any] = answer.value
    return found


def tell(found: dict[str, Any], seconds: int, *, fresh: bool = True) -> int:
    """Print how it went: 0 all proxies have it, 1 some refused it, 3 some have not answered.

    fresh: whether this command wrote the revision; else there is no time to tell.
    """
    acked, proxies, revision = found["acked"], found["proxies"], found["revision"]
    for nack in found["nacks"]:
        place = ": ".join(part for part in (nack["proxy"], nack["type"], nack["resource"]) if part)
        click.echo(f"{place}: refused by Envoy: {nack['message']}", err=True)
    if not found["done"]:
        missing = ", ".join(found["pending"][:5]) + (", ..." if len(found["pending"]) > 5 else "")
        click.echo(
            f"revision {revision}: {acked}/{proxies} proxies after {seconds} s; no answer from {missing}",
            err=True,
        )
    elif not found["nacks"]:
        took = f"proxies in {round(found['milliseconds'])} ms" if fresh else "proxies have it"
        click.echo(f"applied revision {revision}: {acked}/{proxies} {took}")
    if not proxies:
        click.echo("no proxy is connected", err=True)
    return exit_status(found)


def exit_status(found: dict[str, Any]) -> int:
    """0 all proxies have it, 1 some refused it, 3 some have not answered."""
    if found["nacks"]:
        return 1
    return 0 if found["done"] else UNKNOWN
