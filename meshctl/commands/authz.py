"""meshctl authz: what policies say of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import ProxyType
from artemon.registry.files import read_proxy, snapshot_of
from artemon.simulate import Configuration, Mode, Outcome, read_call, simulate
from artemon.snapshot.view import ProxyView
from artemon.translate.authz.rbac import policy_name
from meshctl.commands.explain import configuration
from meshctl.forms import output as output_form
from meshctl.inputs import FILE, read_mesh_config, read_objects, read_one


@click.group()
def authz() -> None:
    """Ask what policies say.

    Example: meshctl authz check -f mesh.yaml --proxy proxy.yaml --call call.yaml
    """


@authz.command()
@click.option("-f", "--filename", "paths", multiple=True, required=True, help="File, folder, or - for stdin.")
@click.option("--proxy", "proxy_file", type=FILE, required=True, help="The proxy, as YAML or JSON.")
@click.option("--call", "call_file", type=FILE, required=True, help="The request, as YAML or JSON.")
@click.option("--mesh-config", type=FILE, help="MeshConfig, as YAML.")
@output_form("json", "text", "yaml")
def check(
    paths: tuple[str, ...], proxy_file: Path, call_file: Path, mesh_config: Path | None, output: str
) -> None:
    """Say whether a proxy lets one request in, by evaluating the filters that are made for it.

    Example: meshctl authz check -f mesh.yaml --proxy proxy.yaml --call call.yaml
    """
    proxy, call = read_one(proxy_file, "proxy"), read_one(call_file, "call")
    found = checked(read_objects(paths), proxy, call, read_mesh_config(mesh_config))
    click.echo(_WRITERS[output](found))


def checked(
    objects: list[dict[str, Any]],
    proxy: Mapping[str, Any],
    call: Mapping[str, Any],
    mesh: MeshConfig | None = None,
) -> dict[str, Any]:
    """The answer as JSON has it, from what the files of the command hold. A call that does not say how it
    comes is one to the workload, or to the gateway."""
    return judged(snapshot_of(objects, mesh or MeshConfig()).view(read_proxy(proxy)), call)


def judged(view: ProxyView, call: Mapping[str, Any], known: Configuration | None = None) -> dict[str, Any]:
    """The answer of the proxy with this view; `known`: what it is given, made once for many calls."""
    mode = Mode.INBOUND if view.proxy.type is ProxyType.SIDECAR else Mode.GATEWAY
    outcome = simulate(known or configuration(view), read_call({"mode": str(mode), **call}))
    return _answer(view, outcome)


def _answer(view: ProxyView, outcome: Outcome) -> dict[str, Any]:
    """allowed: whether it passes the policies; policy and rule: which one decides, as `<namespace>/<name>`
    and the rule's number, null where none does."""
    verdict = outcome.verdict
    if verdict is None:
        why = outcome.steps[-1].reason if outcome.steps else ""
        reason = f"it does not reach the policies: {outcome.error}" + (f" ({why})" if why else "")
        return {"allowed": False, "policy": None, "rule": None, "reason": reason}
    policy, rule = _rule(view, verdict.policy)
    out: dict[str, Any] = {
        "allowed": verdict.allowed,
        "policy": policy,
        "rule": rule,
        "reason": verdict.reason,
    }
    if verdict.authorizer:
        out["authorizer"] = verdict.authorizer
    tried = [_rule(view, one)[0] for one in verdict.tried]
    return {**out, "dryRun": tried} if tried else out


def _rule(view: ProxyView, name: str) -> tuple[str | None, int | None]:
    for policy in view.policies.authorization:
        for index in range(max(1, len(policy.spec.rules))):
            if policy_name(policy, index) in name:
                return f"{policy.meta.namespace}/{policy.meta.name}", index
    return name or None, None


def _text(found: Mapping[str, Any]) -> str:
    verdict = "allowed" if found["allowed"] else "refused"
    rule = f" (rule {found['rule']})" if found["rule"] is not None else ""
    by = f" by {found['policy']}{rule}" if found["policy"] else ""
    return f"{verdict}{by}: {found['reason']}"


_WRITERS = {
    "json": lambda found: json.dumps(found, indent=2),
    "yaml": lambda found: yaml.safe_dump(found, sort_keys=False).rstrip(),
    "text": _text,
}
