"""meshctl get: what is configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from artemon.errors import Unavailable
from artemon.kube import TABLE, Client, Gone
from artemon.model.resource import Kind
from meshctl.connection import connected, kind_of, slashed, table, talk
from meshctl.context import Target
from meshctl.forms import output, show

EVERY_SECONDS = 3600


@click.command()
@click.argument("kinds", metavar="KIND")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace.")
@click.option("-l", "--selector", default="", help="Labels: a=b, a!=b, a in (b,c), a, !a.")
@click.option("-w", "--watch", is_flag=True, help="Go on to show what changes.")
@output("text", "wide", "json", "yaml")
@connected
def get(
    target: Target,
    *,
    kinds: str,
    names: tuple[str, ...],
    everywhere: bool,
    selector: str,
    watch: bool,
    output: str,
) -> int:
    """Show objects: KIND is a kind, its plural or short name, or several with commas; or KIND/NAME.

    Example: meshctl get virtualservices -A -o wide
    """
    kinds, names = slashed(kinds, names)
    wanted = [kind_of(word) for word in kinds.split(",") if word]
    if watch and (len(wanted) != 1 or len(names) > 1 or output in {"json", "yaml"}):
        raise click.UsageError("--watch shows one kind, as text")
    namespace = "" if everywhere else target.namespace
    asked = Asked(namespace=namespace, names=names, query={"labelSelector": selector} if selector else {})
    if output in {"json", "yaml"}:
        value = talk(target, lambda client: _objects(client, wanted, asked))
        show(value, output)
        return 0
    return talk(target, lambda client: _tables(client, wanted, asked, wide=output == "wide", watch=watch))


class Asked:
    """Which objects of a kind."""

    def __init__(self, *, namespace: str, names: Sequence[str], query: Mapping[str, str]) -> None:
        self.namespace, self.names, self.query = namespace, tuple(names), dict(query)
        if names and not namespace:
            raise click.UsageError("a NAME lies in one namespace: leave -A out")


async def _objects(client: Client, kinds: Sequence[Kind], asked: Asked) -> Any:
    found: list[Any] = []
    for kind in kinds:
        if asked.names:
            found += [await client.get(kind, asked.namespace, name) for name in asked.names]
        else:
            found += (await client.list(kind, asked.namespace, query=asked.query))["items"]
    if len(kinds) == len(asked.names) == 1:
        return found[0]
    return {"apiVersion": "v1", "kind": "List", "items": found}


async def _tables(client: Client, kinds: Sequence[Kind], asked: Asked, *, wide: bool, watch: bool) -> int:
    shown = False
    for kind in kinds:
        page = await _table(client, kind, asked)
        rows = page.get("rows") or []
        if not rows and not watch:
            continue
        click.echo(("\n" if shown else "") + render(page, wide=wide, namespaces=not asked.namespace))
        shown = True
        if watch:
            await _follow(client, kind, asked, page, wide=wide)
    if not shown:
        where = f"in namespace {asked.namespace}" if asked.namespace else "in any namespace"
        click.echo(f"no {', '.join(kind.plural for kind in kinds)} {where}", err=True)
    return 0


async def _table(client: Client, kind: Kind, asked: Asked) -> dict[str, Any]:
    if not asked.names:
        return await client.list(kind, asked.namespace, query=asked.query, accept=TABLE)
    pages = [await client.get(kind, asked.namespace, name, accept=TABLE) for name in asked.names]
    return {**pages[0], "rows": [row for page in pages for row in page["rows"]]}


async def _follow(client: Client, kind: Kind, asked: Asked, page: dict[str, Any], *, wide: bool) -> None:
    since = str(page["metadata"]["resourceVersion"])
    query: dict[str, str | int] = {**asked.query, "timeoutSeconds": EVERY_SECONDS}
    if asked.names:
        query["fieldSelector"] = f"metadata.name={asked.names[0]}"
    definitions = page["columnDefinitions"]
    while True:
        try:
            async for event in client.watch(kind, asked.namespace, since=since, query=query, accept=TABLE):
                since = str(event.object["metadata"]["resourceVersion"])
                if event.type == "BOOKMARK":
                    continue
                whole = {**event.object, "columnDefinitions": definitions}
                text = render(whole, wide=wide, namespaces=not asked.namespace, header=False)
                click.echo(f"{text}   {event.type.lower()}")
        except Gone as gone:
            raise Unavailable("too much has changed in between; start again") from gone


def render(page: Mapping[str, Any], *, wide: bool, namespaces: bool, header: bool = True) -> str:
    """A Table of the API as text. namespaces: whether rows begin with one."""
    columns = page["columnDefinitions"]
    chosen = [number for number, column in enumerate(columns) if wide or not column.get("priority")]
    titles = [str(columns[number]["name"]).upper() for number in chosen]
    rows = []
    for row in page["rows"]:
        cells = ["" if row["cells"][number] is None else str(row["cells"][number]) for number in chosen]
        where = [str(row["object"]["metadata"].get("namespace", ""))] if namespaces else []
        rows.append([*where, *cells])
    text = table([*(["NAMESPACE"] if namespaces else []), *titles], rows)
    return text if header else text.split("\n", 1)[1]
