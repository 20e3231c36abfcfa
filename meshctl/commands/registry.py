"""meshctl registry: the health of the registries that the mesh reads, what is held back, and the store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from meshctl.commands import registry_store
from meshctl.connection import connected, connected_unless, table, talk
from meshctl.context import Target
from meshctl.forms import output, show

HEADER = ["PILOTD", "REGISTRY", "STATE", "AGE", "SERVICES", "INSTANCES", "HELD", "REASON"]


@click.group("registry")
def registry() -> None:
    """Look at registries; check, back up and move the store. Example: meshctl registry check"""


for _command in (registry_store.export, registry_store.import_, registry_store.migrate):
    registry.add_command(_command)


@registry.command("check")
@click.option("--registry", "url", help="Look into the store at this URL, without any daemon.")
@registry_store.MESH
@output("text", "json", "yaml")
@connected_unless("url")
def check(target: Target | None, url: str | None, mesh: str, output: str) -> int:
    """Show for every pilotd whether its registries answer, how old its view of each is, and what is held.

    With --registry: whether that store can be read and written, and what lies there that should not. Exit
    status 1 when one does not answer, or something is held or wrong. Example: meshctl registry check
    """
    if target is None:
        return _check_store(url or "", mesh, output)
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


def _check_store(url: str, mesh: str, output: str) -> int:
    found = asyncio.run(registry_store.checked(url, mesh))
    if output != "text":
        show([asdict(one) for one in found], output)
    else:
        rows = [["ok" if one.ok else "FAILED", one.name, one.detail] for one in found]
        click.echo(table(["", "CHECK", "DETAIL"], rows))
    return 0 if all(one.ok for one in found) else 1


def _is_well(item: Mapping[str, Any]) -> bool:
    return "error" not in item and all(
        one["state"] == "ok" and not one["held"] and not _not_exported(one) for one in item["found"]
    )


def _not_exported(one: Mapping[str, Any]) -> str:
    """What keeps services of the mesh out of a registry that they should be shown to."""
    reason = (one.get("export") or {}).get("reason")
    return f"export: {reason}" if reason else ""


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
            "; ".join(filter(None, (one["reason"], _not_exported(one)))),
        ]
        for one in item["found"]
    ]
