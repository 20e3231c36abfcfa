"""meshctl authn: on the way from PERMISSIVE to STRICT."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from meshctl.connection import connected, table, talk
from meshctl.context import Target
from meshctl.forms import output, show

HEADER = ("SERVER", "PORT", "FROM", "HOW", "COUNT", "LAST SEEN")
_KINDS = {"plaintext": "plaintext", "tls": "TLS, but not the mesh's"}


@click.group()
def authn() -> None:
    """See whether mutual TLS can be required.

    Example: meshctl authn check
    """


@authn.command()
@click.option("-A", "--all-namespaces", is_flag=True, help="Of servers in all namespaces.")
@output("text", "json", "yaml")
@connected
def check(target: Target, all_namespaces: bool, output: str) -> int:
    """Show who still comes without mutual TLS to servers that do not require it (PERMISSIVE), as their
    proxies have counted. STRICT would shut these callers out. Exit status 1: there are some.

    Example: meshctl authn check -n shop
    """
    answer = talk(target, lambda client: client.request("GET", "/artemon/v1/callers")).value
    items = [one for one in answer["items"] if all_namespaces or one["namespace"] == target.namespace]
    if output != "text":
        show({"items": items, "unreachable": answer["unreachable"]}, output)
    else:
        _print(items)
    for one in answer["unreachable"]:
        click.echo(
            f"pilotd at {one['pilotd']} does not say what its proxies have seen: {one['error']}", err=True
        )
    if answer["unreachable"]:
        return 3
    return 1 if any(one["seen"] for one in items) else 0


def _print(items: list[Mapping[str, Any]]) -> None:
    rows = [_row(item, one) for item in items for one in _latest_first(item["seen"])]
    if rows:
        click.echo(table(HEADER, rows))
    quiet = [item for item in items if item["permissive"] and not item["seen"]]
    if quiet:
        click.echo("No caller without mutual TLS was seen by these; they could require it (STRICT):")
    for item in quiet:
        ports = ", ".join(str(one["port"]) for one in item["permissive"])
        since = f"in {_age(item['since'])}" if item["since"] else "yet: their proxy has not counted"
        click.echo(f"  {_name(item)}, ports {ports}: none {since}")
    if not rows and not quiet:
        click.echo("No connected proxy has a port that does not require mutual TLS.")


def _row(item: Mapping[str, Any], one: Mapping[str, Any]) -> list[str]:
    port = f"{one['port']} ({one['host']})" if one["host"] else str(one["port"])
    caller = f"{one['from']} ({one['name']})" if one["name"] else str(one["from"])
    how = _KINDS.get(one["kind"], one["kind"])
    return [_name(item), port, caller, how, str(one["count"]), f"{_age(one['last'])} ago"]


def _latest_first(seen: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(seen, key=lambda one: str(one["last"]), reverse=True)


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['namespace']}/{item['node']}"


def _age(when: str) -> str:
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(when)).total_seconds()
    except (ValueError, TypeError):
        return "?"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"
