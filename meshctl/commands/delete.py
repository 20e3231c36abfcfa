"""meshctl delete: take objects out of the mesh's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from artemon.kube import Client, Rejected
from meshctl.commands.apply import placed
from meshctl.connection import connected, files, kind_of, slashed, talk
from meshctl.context import Target
from meshctl.inputs import read_objects
from meshctl.waiting import reached, tell, wait_option


@click.command()
@click.argument("kind", required=False)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@files(required=False)
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no failure.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; nothing is deleted.")
@wait_option
@connected
def delete(
    target: Target,
    *,
    kind: str | None,
    names: tuple[str, ...],
    paths: Sequence[str],
    ignore_not_found: bool,
    dry_run: bool,
    wait: int | None,
) -> int:
    """Delete objects, by kind and name or those in files. Several are one transaction: all or none.

    Example: meshctl delete virtualservice reviews -n bookinfo
    """
    if kind:
        kind, names = slashed(kind, names)
    if bool(kind) == bool(paths) or bool(kind) != bool(names):
        raise click.UsageError("name a KIND and a NAME, or files with -f")
    if kind:
        found = kind_of(kind)
        head = {"apiVersion": found.api_version, "kind": found.name}
        unwanted = [{**head, "metadata": {"name": name, "namespace": target.namespace}} for name in names]
    else:
        unwanted = [_named(placed(obj, target.namespace)) for obj in read_objects(paths)]
    return talk(
        target, lambda client: _delete(client, unwanted, ignore=ignore_not_found, dry_run=dry_run, wait=wait)
    )


def _named(obj: dict[str, Any]) -> dict[str, Any]:
    return {key: obj[key] for key in ("apiVersion", "kind", "metadata") if key in obj}


async def _delete(
    client: Client, unwanted: Sequence[dict[str, Any]], *, ignore: bool, dry_run: bool, wait: int | None
) -> int:
    if ignore:
        unwanted = [obj for obj in unwanted if await _exists(client, obj)]
    if not unwanted:
        return 0
    query = {"dryRun": "All"} if dry_run else {}
    answer = await client.request("POST", "/artemon/v1/transactions", query=query, body={"deletes": unwanted})
    for result in answer.value["results"]:
        ref = f"{result['kind']}/{result['namespace']}/{result['name']}"
        click.echo(f"{ref} deleted{' (dry run)' if dry_run else ''}")
    if not wait or dry_run:
        return 0
    return tell(await reached(client, int(answer.value["revision"]), wait), wait)


async def _exists(client: Client, obj: dict[str, Any]) -> bool:
    meta = obj["metadata"]
    try:
        await client.get(kind_of(str(obj["kind"])), str(meta["namespace"]), str(meta["name"]))
    except Rejected as refusal:
        if refusal.code == 404:
            return False
        raise
    return True
