"""meshctl describe: one object, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import yaml

from meshctl.connection import connected, kind_of, talk
from meshctl.context import Target

_META = (
    ("Name", "name"),
    ("Namespace", "namespace"),
    ("Created", "creationTimestamp"),
    ("Generation", "generation"),
    ("Revision", "resourceVersion"),
    ("UID", "uid"),
)


@click.command()
@click.argument("kind")
@click.argument("name")
@connected
def describe(target: Target, kind: str, name: str) -> int:
    """Tell about one object.

    Example: meshctl describe virtualservice reviews -n bookinfo
    """
    found = kind_of(kind)
    click.echo(described(talk(target, lambda client: client.get(found, target.namespace, name))))
    return 0


def described(obj: Mapping[str, Any]) -> str:
    """The object as text: what it is, its labels, its content."""
    meta = obj["metadata"]
    lines = [f"{'Kind:':13}{obj['kind']} ({obj['apiVersion']})"]
    lines += [f"{title + ':':13}{meta[field]}" for title, field in _META if field in meta]
    for title, field in (("Labels", "labels"), ("Annotations", "annotations")):
        pairs = [f"{key}={value}" for key, value in (meta.get(field) or {}).items()]
        lines.append(f"{title + ':':13}{(chr(10) + ' ' * 13).join(pairs) or '<none>'}")
    for title, field in (("Spec", "spec"), ("Status", "status")):
        if obj.get(field):
            text = yaml.safe_dump(obj[field], sort_keys=False, allow_unicode=True)
            lines += [f"{title}:", *(f"  {line}" for line in text.splitlines())]
    return "\n".join(lines)
