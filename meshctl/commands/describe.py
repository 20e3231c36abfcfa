"""meshctl describe: one object, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
import yaml

from artemon.model.kinds import ENVOY_FILTER
from meshctl.commands.proxy_status import left_out
from meshctl.connection import connected, one_of, talk
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
@click.argument("name", required=False)
@connected
def describe(target: Target, kind: str, name: str | None) -> int:
    """Tell about one object.

    Example: meshctl describe virtualservice reviews -n bookinfo
    """
    found, name = one_of(kind, name)
    obj = talk(target, lambda client: client.get(found, target.namespace, name))
    click.echo(described(obj))
    if obj["kind"] == ENVOY_FILTER.name:
        answer = talk(target, lambda client: client.request("GET", "/artemon/v1/proxies"))
        click.echo(patches_left_out(obj, answer.value["items"]))
    return 0


def patches_left_out(obj: Mapping[str, Any], proxies: Iterable[Mapping[str, Any]]) -> str:
    """Which patches of an EnvoyFilter connected proxies do without, and why."""
    meta = obj["metadata"]
    own = f"{obj['kind']}/{meta['namespace']}/{meta['name']}"
    lines = [
        f"  {proxy['proxy']}: {text}" for proxy in proxies for ref, text in left_out(proxy) if ref == own
    ]
    return "\n".join(["Left out:", *lines]) if lines else f"{'Left out:':13}<none>"


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
