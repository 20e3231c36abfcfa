"""meshctl edit: change one object in an editor."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import click
import yaml

from artemon.errors import ArtemonError, Refused
from artemon.kube import Client, Rejected
from artemon.model.decode import load_yaml
from artemon.model.resource import Kind
from meshctl.connection import connected, one_of, talk, warn
from meshctl.context import Target

_HEAD = "# Change what you like and save; leave the file as it is to change nothing.\n"
_OURS = ("uid", "creationTimestamp", "generation")


@click.command()
@click.argument("kind")
@click.argument("name", required=False)
@connected
def edit(target: Target, kind: str, name: str | None) -> int:
    """Change one object in $EDITOR. What is refused comes back into the editor with the reasons.

    Example: EDITOR=vi meshctl edit virtualservice reviews -n bookinfo
    """
    found, name = one_of(kind, name)
    before = talk(target, lambda client: client.get(found, target.namespace, name))
    shown = {**before, "metadata": {k: v for k, v in before["metadata"].items() if k not in _OURS}}
    text, reasons = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), ""
    while True:
        edited = click.edit(_HEAD + reasons + text, extension=".yaml")
        fresh = _without_comments(edited) if edited is not None else text
        if fresh == text:
            return _unchanged(text, reasons)
        text = fresh
        try:
            return _replace(target, found, text)
        except (Rejected, Refused) as refusal:
            lines = refusal.lines() if isinstance(refusal, Rejected) else str(refusal).splitlines()
            reasons = "".join(f"# {line}\n" for line in lines)


def _replace(target: Target, kind: Kind, text: str) -> int:
    objects = load_yaml(text, "edited text")
    if len(objects) != 1:
        raise Rejected(400, "BadRequest", f"the text must hold one object, not {len(objects)}")

    async def send(client: Client) -> Any:
        return await client.replace(kind, objects[0], query={"fieldValidation": "Strict"})

    meta = objects[0].get("metadata")
    if not isinstance(meta, dict) or not meta.get("name"):
        raise Rejected(400, "BadRequest", "metadata.name is required")
    answer = talk(target, send)
    ref = f"{kind.name}/{meta.get('namespace', '')}/{meta['name']}"
    warn(ref, answer.warnings)
    click.echo(f"{ref} edited")
    return 0


def _without_comments(text: str) -> str:
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "".join(lines)


def _unchanged(text: str, reasons: str) -> int:
    if not reasons:
        click.echo("nothing was changed", err=True)
        return 0
    try:
        with tempfile.NamedTemporaryFile("w", prefix="meshctl-edit-", suffix=".yaml", delete=False) as file:
            file.write(reasons + text)
    except OSError as error:
        raise ArtemonError(f"the refused text cannot be kept: {error}") from error
    click.echo(f"{reasons}nothing was written; the text is kept in {os.path.abspath(file.name)}", err=True)
    return 1
