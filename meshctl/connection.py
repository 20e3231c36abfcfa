"""Options of every command that talks to galleyd, and how its refusals are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from typing import Any, TypeVar

import click

from artemon.errors import ArtemonError
from artemon.kube import Client, Rejected
from artemon.model.kinds import ALL_KINDS, find
from artemon.model.resource import Kind
from meshctl.context import Target, find_target
from meshctl.forms import before_the_command

T = TypeVar("T")
Command = Callable[..., Any]

_PLACES = {
    "server": "URL of galleyd.",
    "ca": "File (PEM) of the mesh's root certificates.",
    "token": "File of the bearer token.",
    "certificate": "File (PEM) of a client certificate.",
    "key": "File (PEM) of its key.",
    "tls_server_name": "Name that the server's certificate must carry, if not the URL's.",
}


def connected(command: Command) -> Command:
    """Adds the options that say which mesh, and passes `target`. A refusal is told line by line, exit 1."""
    return connected_unless("")(command)


def connected_unless(offline: str) -> Callable[[Command], Command]:
    """As `connected`, but when the parameter `offline` is given, no mesh is needed and `target` is None."""
    return partial(_connected, offline)


def _connected(offline: str, command: Command) -> Command:
    @wraps(command)
    def run(**given: Any) -> Any:
        before = before_the_command()
        flags = {field: given.pop(field) or before.get(field) for field in (*_PLACES, "namespace")}
        context = given.pop("context") or before.get("context") or ""
        insecure = given.pop("insecure") or bool(before.get("insecure"))
        alone = given.get(offline) is not None
        target = None if alone else find_target(context=context, flags=flags, insecure=insecure)
        try:
            return command(target=target, **given)
        except Rejected as refusal:
            for line in refusal.lines():
                click.echo(line, err=True)
            return 1

    wrapped: Command = click.option("-n", "--namespace", help="Namespace; the context's when absent.")(run)
    wrapped = click.option("--insecure", is_flag=True, help="Do not verify the server's certificate.")(
        wrapped
    )
    for field, text in reversed(_PLACES.items()):
        flag = "--token-file" if field == "token" else "--" + field.replace("_", "-")
        wrapped = click.option(flag, field, metavar="URL" if field == "server" else "FILE", help=text)(
            wrapped
        )
    return click.option("--context", metavar="NAME", help="Which mesh of the configuration file.")(wrapped)


def files(*, required: bool = True) -> Callable[[Command], Command]:
    """Adds `-f PATH`."""
    text = "File, folder (with all below it) or - for standard input; may be repeated."
    return click.option(
        "-f", "--filename", "paths", multiple=True, required=required, metavar="PATH", help=text
    )


def talk(target: Target, work: Callable[[Client], Awaitable[T]]) -> T:
    """Run `work` with a client of the mesh."""

    async def main() -> T:
        async with Client.open(target.access) as client:
            return await work(client)

    try:
        return asyncio.run(main())
    except BaseExceptionGroup as group:
        found = next((error for error in group.exceptions if isinstance(error, ArtemonError)), None)
        raise (found or group) from group


def slashed(kind: str, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Kind and names, where each is written as `KIND/NAME` (kubectl's other way). Raises UsageError."""
    if "/" not in kind:
        return kind, tuple(names)
    pairs = [word.partition("/") for word in (kind, *names)]
    if any(not (one and name) or find(one) is not find(pairs[0][0]) for one, _, name in pairs):
        raise click.UsageError("write KIND/NAME of one kind, or KIND NAME...")
    return pairs[0][0], tuple(name for _, _, name in pairs)


def one_of(kind: str, name: str | None) -> tuple[Kind, str]:
    """The one object that is meant by `KIND NAME` or `KIND/NAME`. Raises UsageError."""
    word, names = slashed(kind, [name] if name else [])
    if len(names) != 1:
        raise click.UsageError("name one object: KIND NAME, or KIND/NAME")
    return kind_of(word), names[0]


def kind_of(word: str) -> Kind:
    """The kind that a person means. Raises UsageError."""
    kind = find(word)
    if kind is None:
        known = ", ".join(kind.singular for kind in ALL_KINDS)
        raise click.UsageError(f'"{word}" is not a kind (known: {known})')
    return kind


def warn(subject: str, warnings: Sequence[str]) -> None:
    """Print warnings to standard error, one line each."""
    for text in warnings:
        click.echo(f"warning: {subject}: {text}" if subject else f"warning: {text}", err=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, two blanks or more between them."""
    lines = [[*header], *[[*row] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = (
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)
