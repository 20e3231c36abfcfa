"""meshctl proxy-status: whether the proxies have what they should have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from artemon.model.rejected_patch import RejectedPatch
from meshctl.connection import connected, table, talk
from meshctl.context import Target
from meshctl.forms import output, show

TYPES = ("cds", "lds", "eds", "rds", "start")


@click.command("proxy-status")
@click.argument("proxy", required=False)
@output("text", "json", "yaml")
@connected
def proxy_status(target: Target, proxy: str | None, output: str) -> int:
    """Show for every connected proxy, by type of configuration: SYNCED, STALE (not answered), NACKED.

    Example: meshctl proxy-status
    """
    answer = talk(target, lambda client: client.request("GET", "/artemon/v1/proxies"))
    items = [item for item in answer.value["items"] if not proxy or proxy in _names(item)]
    if output != "text":
        show(items, output)
    elif items:
        header = ["NAME", *(name.upper() for name in TYPES), "PILOT", "REVISION"]
        click.echo(table(header, [_row(item) for item in items]))
    else:
        click.echo(f"{proxy} is not connected" if proxy else "no proxy is connected", err=True)
    for item in items:
        for line in _refusals(item):
            click.echo(line, err=True)
    return 1 if proxy and not items else 0


def _names(item: Mapping[str, Any]) -> set[str]:
    name = str(item["proxy"])
    return {name, name.partition(".")[0], str(item.get("node", ""))}


def _row(item: Mapping[str, Any]) -> list[str]:
    types = item.get("types") or {}
    states = [state(types.get(name) or {}) for name in TYPES]
    return [str(item["proxy"]), *states, str(item.get("pilot", "")), str(item.get("revision", ""))]


def state(of: Mapping[str, Any]) -> str:
    """What one type of a proxy's configuration is in."""
    if of.get("nacked"):
        return "NACKED"
    if not of.get("sent"):
        return "NOT SENT"
    return "SYNCED" if of["sent"] == of.get("acked") else "STALE"


def _refusals(item: Mapping[str, Any]) -> list[str]:
    found = []
    for name, of in (item.get("types") or {}).items():
        nacked = of.get("nacked")
        if nacked:
            place = ": ".join(filter(None, (str(item["proxy"]), name, str(nacked.get("resource") or ""))))
            found.append(f"{place}: refused by Envoy: {nacked.get('message', '')}")
    return found + [f"{item['proxy']}: {text}" for _, text in left_out(item)]


def left_out(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The EnvoyFilters of which a proxy lacks a patch, and what it lacks and why."""
    return [(str(one["object"]), f"left out: {RejectedPatch(**one)}") for one in item.get("rejected") or ()]
