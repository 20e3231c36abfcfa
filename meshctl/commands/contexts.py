"""meshctl contexts: the meshes of the configuration file, and which of them is meant."""

from __future__ import annotations

import os
from typing import Any

import click

from artemon.errors import ArtemonError
from meshctl.connection import table
from meshctl.context import Config, config_path, known_context, read_config, write_config
from meshctl.forms import output, show


@click.group()
def contexts() -> None:
    """Say which mesh is meant, of those in ~/.config/artemon/config.yaml.

    Example: meshctl contexts use production
    """


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """For completion: the contexts that there are."""
    try:
        known = read_config(config_path()).contexts
    except ArtemonError:
        return []
    return [name for name in known if name.startswith(incomplete)]


@contexts.command("list")
@output("text", "json", "yaml")
def list_(output: str) -> None:
    """Print every context; the current one has a star.

    Example: meshctl contexts list -o json
    """
    found = _shown(read_config(config_path()))
    if output != "text":
        show(found, output)
        return
    rows = [
        ["*" if one["current"] else "", one["name"], one["server"], one["namespace"], one["as"]]
        for one in found
    ]
    click.echo(table(["", "NAME", "SERVER", "NAMESPACE", "AS"], rows))


@contexts.command("use")
@click.argument("name", shell_complete=_names)
def use(name: str) -> None:
    """Make NAME the current context: the mesh of every command that names no other.

    Example: meshctl contexts use production
    """
    config = read_config(config_path())
    place = known_context(config, name)
    write_config(config.model_copy(update={"current": name}))
    click.echo(f"commands go to {place.server or 'no server yet'} ({name})", err=True)
    if os.environ.get("ARTEMON_CONTEXT") or os.environ.get("ARTEMON_SERVER"):
        click.echo("warning: ARTEMON_CONTEXT or ARTEMON_SERVER is set, and wins", err=True)


@contexts.command("delete")
@click.argument("name", shell_complete=_names)
def delete(name: str) -> None:
    """Forget a context; the files that it names stay.

    Example: meshctl contexts delete staging
    """
    config = read_config(config_path())
    known_context(config, name)
    left = {key: place for key, place in config.contexts.items() if key != name}
    write_config(Config(current="" if config.current == name else config.current, contexts=left))


def _shown(config: Config) -> list[dict[str, Any]]:
    """What may be shown of contexts: names of files, never what is in them."""
    return [
        {
            "name": name,
            "current": name == config.current,
            "server": place.server,
            "namespace": place.namespace,
            "as": "certificate" if place.certificate else "token" if place.token else "",
            "ca": place.ca,
        }
        for name, place in config.contexts.items()
    ]
