"""meshctl signing-key: the key with which galleyd signs configuration."""

from __future__ import annotations

from typing import Any

import click

from meshctl.connection import connected, talk
from meshctl.context import Target
from meshctl.forms import output, show

_PATH = "/artemon/v1/signingkey"


@click.group("signing-key")
def signing_key() -> None:
    """Show and change the key with which galleyd signs what it writes into the registry.

    Example: meshctl signing-key rotate
    """


@signing_key.command("show")
@output("text", "json", "yaml")
@connected
def show_key(target: Target, *, output: str) -> int:
    """Print the id of the key in use, and of the one that it is replacing.

    Example: meshctl signing-key show
    """
    return _told(talk(target, lambda client: client.request("GET", _PATH)).value, output)


@signing_key.command()
@output("text", "json", "yaml")
@connected
def rotate(target: Target, *, output: str) -> int:
    """Sign with a new key from now on; what the old one signed is signed anew, no proxy notices.

    Example: meshctl signing-key rotate
    """
    return _told(talk(target, lambda client: client.request("POST", _PATH, body={})).value, output)


def _told(keys: dict[str, Any], output: str) -> int:
    if output != "text":
        show(keys, output)
        return 0
    click.echo(keys["key"])
    if "old" in keys:
        click.echo(f"replacing {keys['old']}, until nothing is signed with it any more", err=True)
    return 0
