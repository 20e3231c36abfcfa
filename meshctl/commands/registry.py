"""meshctl registry: the health of the registries that the mesh reads, and what is held back of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from meshctl.connection import connected, output, show, table, talk
from meshctl.context import Target

HEADER = ["PILOTD", "REGISTRY", "STATE", "AGE", "SERVICES", "INSTANCES", "HELD", "REASON"]


@click.group("registry")
def registry() -> None:
    """Look at the registries of the mesh. Example: meshctl registry check"""


@registry.command("check")
@output("text", "json", "yaml")
@connected
def check(target: Target, output: str) -> int:
    """Show for every pilotd whether its registries answer, how old its view of each is, and what is held.

    Exit status 1 when one does not answer, or something is held. Example: meshctl registry check
    """
    answer = talk(target, lambda client: client.request("GET", "/artemon/v1/registries"))
    items: list[Mapping[str, Any]] = answer.value["items"]
    if output != "text":
        show(items, output)
    else:
        click.echo(table(HEADER, [row for item in items for row in _rows(item)]))
        for item in items:
            for one in item.get("found") or ():
                for key in one["held"]:
                    click.echo(f"{item['pilotd']}: {one['name']}: held: {key}", err=True)
    return 0 if all(map(_is_well, items)) else 1


@registry.command("release")
@output("text", "json", "yaml")
@connected
def release(target: Target, output: str) -> int:
    """Let every pilotd remove what it holds back: what vanished in numbers is really gone.

    Example: meshctl registry release
    """
    answer = talk(target, lambda client: client.request("POST", "/artemon/v1/registries/release"))
    items: list[Mapping[str, Any]] = answer.value["items"]
    if output != "text":
        show(items, output)
    for item in items if output == "text" else ():
        found = item.get("found") or {}
        told = ", ".join(f"{name} {count}" for name, count in found.items())
        click.echo(f"{item['pilotd']}: {item.get('error') or f'released: {told}'}")
    return 1 if any("error" in item for item in items) else 0


def _is_well(item: Mapping[str, Any]) -> bool:
    return "error" not in item and all(one["state"] == "ok" and not one["held"] for one in item["found"])


def _rows(item: Mapping[str, Any]) -> list[list[str]]:
    if "error" in item:
        return [[item["pilotd"], "", "UNREACHABLE", "", "", "", "", item["error"]]]
    return [
        [
            item["pilotd"],
            one["name"],
            one["state"].upper(),
            "never read" if one["ageSeconds"] is None else f"{one['ageSeconds']:.0f}s",
            str(one.get("services", "")),
            str(one.get("instances", "")),
            str(len(one["held"])),
            one["reason"],
        ]
        for one in item["found"]
    ]
