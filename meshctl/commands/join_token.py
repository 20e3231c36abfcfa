"""meshctl join-token: one-time tokens with which machines join the mesh."""

from __future__ import annotations

import re
from typing import Any

import click

from meshctl.connection import connected, table, talk
from meshctl.context import Target
from meshctl.forms import output, show

_PATH = "/artemon/v1/jointokens"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group("join-token")
def join_token() -> None:
    """Make, list and revoke the tokens with which machines join.

    Example: meshctl join-token create --namespace shop --service-account cart
    """


def seconds(_: click.Context, __: click.Parameter, value: str) -> int:
    """A time such as 15m, as seconds (a callback of click)."""
    found = re.fullmatch(r"([1-9]\d{0,5})([smhd]?)", value)
    if not found:
        raise click.BadParameter(f'"{value}" is not a time such as 15m or 1h')
    return int(found[1]) * _UNITS[found[2] or "s"]


@join_token.command()
@click.option("--service-account", required=True, help="Service account of the workload.")
@click.option("--ttl", default="15m", show_default=True, callback=seconds, help="Good for: 15m, 1h.")
@click.option("--uses", default=1, show_default=True, type=click.IntRange(1, 1000), help="Good for so many.")
@output("text", "json", "yaml")
@connected
def create(target: Target, *, service_account: str, ttl: int, uses: int, output: str) -> int:
    """Make a token; its secret is printed this once, alone on standard output.

    Example: meshctl join-token create --namespace shop --service-account cart --ttl 1h > token
    """
    wanted = {
        "namespace": target.namespace,
        "serviceAccount": service_account,
        "ttlSeconds": ttl,
        "uses": uses,
    }
    answer = talk(target, lambda client: client.request("POST", _PATH, body=wanted))
    if output == "text":
        click.echo(answer.value["token"])
        click.echo(_told(answer.value), err=True)
    else:
        show(answer.value, output)
    return 0


def _told(token: dict[str, Any]) -> str:
    who = f"{token['namespace']}/{token['serviceAccount']}"
    return f"token {token['id']} for {who}, until {token['expires']}, uses: {token['uses']}"


@join_token.command("list")
@output("text", "json", "yaml")
@connected
def list_tokens(target: Target, output: str) -> int:
    """List the tokens that are still good, without their secrets.

    Example: meshctl join-token list
    """
    items = talk(target, lambda client: client.request("GET", _PATH)).value["items"]
    if output != "text":
        show(items, output)
        return 0
    fields = ("id", "namespace", "serviceAccount", "created", "expires", "uses")
    header = ["ID", "NAMESPACE", "SERVICE ACCOUNT", "CREATED", "EXPIRES", "USES"]
    click.echo(table(header, [[str(item[field]) for field in fields] for item in items]))
    return 0


@join_token.command()
@click.argument("token_id", metavar="ID")
@connected
def revoke(target: Target, token_id: str) -> int:
    """Make a token good for nothing; ID as `list` shows it.

    Example: meshctl join-token revoke 4f5e2a
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", token_id):
        raise click.BadParameter("must be the ID that `meshctl join-token list` shows", param_hint="ID")
    talk(target, lambda client: client.request("DELETE", f"{_PATH}/{token_id}"))
    click.echo(f"token {token_id} revoked")
    return 0
