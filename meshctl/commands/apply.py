"""meshctl apply: make the mesh's configuration what the files say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from artemon.kube import Client
from meshctl.connection import connected, files, talk, warn
from meshctl.context import Target
from meshctl.forms import output, show
from meshctl.inputs import read_objects
from meshctl.waiting import exit_status, reached, tell, wait_option


@click.command()
@files()
@click.option("--dry-run", is_flag=True, help="Say what would be done; nothing is written.")
@wait_option
@output("text", "json", "yaml")
@connected
def apply(target: Target, *, paths: Sequence[str], dry_run: bool, wait: int | None, output: str) -> int:
    """Make the mesh's configuration what the files say. Several objects are one transaction: all or none.

    Example: meshctl apply -f reviews.yaml --wait
    """
    objects = [placed(obj, target.namespace) for obj in read_objects(paths)]
    if not objects:
        raise click.UsageError("there is no object in what -f names")
    return talk(target, lambda client: _apply(client, objects, dry_run=dry_run, wait=wait, output=output))


def placed(obj: dict[str, Any], namespace: str) -> dict[str, Any]:
    """`obj` in `namespace`, unless it names one."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or meta.get("namespace"):
        return obj
    return {**obj, "metadata": {**meta, "namespace": namespace}}


async def _apply(
    client: Client, objects: Sequence[dict[str, Any]], *, dry_run: bool, wait: int | None, output: str
) -> int:
    query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
    answer = await client.request("POST", "/artemon/v1/transactions", query=query, body={"objects": objects})
    outcome = answer.value
    for result in outcome["results"]:
        told = [": ".join(filter(None, (one["path"], one["message"]))) for one in result["warnings"]]
        warn(_ref(result), told)
    if output == "text":
        for result in outcome["results"]:
            click.echo(f"{_ref(result)} {result['result']}{' (dry run)' if dry_run else ''}")
    if dry_run or not wait:
        if output != "text":
            show(outcome, output)
        return 0
    revision = outcome["revision"] or max(int(one["resourceVersion"]) for one in outcome["results"])
    found = await reached(client, revision, wait)
    if output != "text":
        show({**outcome, "wait": found}, output)
        return exit_status(found)
    return tell(found, wait, fresh=bool(outcome["revision"]))


def _ref(result: dict[str, Any]) -> str:
    return f"{result['kind']}/{result['namespace']}/{result['name']}"
