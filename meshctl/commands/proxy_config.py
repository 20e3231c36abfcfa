"""meshctl proxy-config: what a proxy was sent."""

from __future__ import annotations

import click

from artemon.errors import ArtemonError
from artemon.kube import Client
from meshctl.connection import connected, table, talk
from meshctl.context import Target
from meshctl.forms import output, show
from meshctl.proxy_tables import TABLES, Message

_ALL = "all"


@click.command("proxy-config")
@click.argument("section", type=click.Choice([*TABLES, _ALL]))
@click.argument("node")
@output("text", "json", "yaml")
@connected
def proxy_config(target: Target, section: str, node: str, output: str) -> int:
    """Show what a proxy was sent: its clusters, listeners, routes, endpoints, the secrets it refers
    to, or what its Envoy is started with.

    NODE is the name of a proxy as proxy-status shows it; its namespace may be left out.

    Example: meshctl proxy-config routes productpage-v1.bookinfo
    """
    dump = talk(target, lambda client: _dump(client, node))
    wanted = list(TABLES) if section == _ALL else [section]
    if output != "text":
        show(_shown(dump, section), output)
        return 0
    for number, name in enumerate(wanted):
        titles, rows = TABLES[name]
        click.echo(("\n" if number else "") + table(titles, rows(dump)))
    return 0


def _shown(dump: Message, section: str) -> object:
    if section == _ALL:
        return dump
    if section in dump:
        return dump[section]
    titles, rows = TABLES[section]
    return [dict(zip((title.lower() for title in titles), row, strict=True)) for row in rows(dump)]


async def _dump(client: Client, node: str) -> Message:
    connected = [
        str(item["proxy"]) for item in (await client.request("GET", "/artemon/v1/proxies")).value["items"]
    ]
    found = [name for name in connected if node == name] or [
        name for name in connected if node in {name.partition(".")[0], name.rpartition(".")[0]}
    ]
    if len(found) != 1:
        known = ", ".join(found or connected) or "none"
        why = "is more than one proxy" if found else "is not connected"
        raise ArtemonError(f"{node}: {why} (connected: {known})")
    answer = await client.request("GET", "/artemon/v1/debug/config_dump", query={"proxyID": found[0]})
    dump: Message = answer.value
    return dump
