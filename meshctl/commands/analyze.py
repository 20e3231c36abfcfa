"""meshctl analyze: what objects mean for one another, in files, in the mesh, or both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from artemon.analysis import LEVEL_OF, LEVELS, NAME_OF, Material, at_least, is_suppressed
from artemon.analysis import analyze as findings_of
from artemon.model.mesh_config import MeshConfig
from artemon.translate.envoy_values import problems_of
from artemon.validate import Context
from meshctl.connection import connected_unless, talk
from meshctl.context import Target
from meshctl.forms import before_the_command, show
from meshctl.forms import output as output_form
from meshctl.inputs import FILE, read_mesh_config, read_objects

PATH = "/artemon/v1/analysis"
Found = dict[str, str]
_WORST_FIRST = LEVELS[::-1]


def _alone(context: click.Context, _: click.Parameter, with_mesh: bool) -> bool | None:
    """None where a mesh is asked. (Options that are given are read before those that are not.)"""
    return None if with_mesh or not (context.params.get("paths") or context.params.get("more")) else True


def _list_codes(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        for code, name in NAME_OF.items():
            click.echo(f"{code}  {LEVEL_OF[code]:7}  {name}")
        context.exit()


@click.command()
@click.argument("more", nargs=-1, metavar="[PATH]...")
@click.option("-f", "--filename", "paths", multiple=True, metavar="PATH",
              help="File, folder (with all below it) or - for standard input; may be repeated. "
                   "None: the mesh.")  # fmt: skip
@click.option("--with-mesh", "alone", is_flag=True, callback=_alone,
              help="Look at the files as if they were applied to the mesh.")  # fmt: skip
@click.option("--level", type=click.Choice(_WORST_FIRST), default="error", show_default=True,
              help="Exit status 1 when something is found at this level or above.")  # fmt: skip
@click.option("--output-threshold", "least", type=click.Choice(_WORST_FIRST), default="info",
              show_default=True, help="Show what is found at this level or above.")  # fmt: skip
@click.option("-S", "--suppress", multiple=True, metavar="CODE=RESOURCE",
              help='Leave out, as "IST0102=Namespace shop", "IST0133=VirtualService a/*".')  # fmt: skip
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace of the mesh.")
@click.option("--mesh-config", type=FILE, help="MeshConfig of the files, as YAML.")
@click.option("-L", "--list-codes", is_flag=True, is_eager=True, expose_value=False, callback=_list_codes,
              help="List the codes there are, and stop.")  # fmt: skip
@output_form("text", "json", "yaml")
@connected_unless("alone")
def analyze(
    target: Target | None,
    *,
    paths: tuple[str, ...],
    more: tuple[str, ...],
    alone: bool | None,
    level: Any,
    least: Any,
    suppress: tuple[str, ...],
    everywhere: bool,
    mesh_config: Path | None,
    output: str,
) -> int:
    """Find what contradicts or misses something else, with Istio's codes; exit status 1 for errors.

    Example: meshctl analyze -f mesh.yaml --level warning -o json
    """
    rules = [_rule(one) for one in suppress]
    objects = read_objects([*paths, *more])
    said = click.get_current_context().params.get("namespace")
    written = said or before_the_command().get("namespace")
    if target is None:
        found = _of_files(objects, read_mesh_config(mesh_config), namespace=written or "default")
    else:
        space = "" if everywhere else target.namespace
        found = _of_mesh(target, objects, space)
    kept = [one for one in found if not is_suppressed(one["code"], one["resource"], rules)]
    _show([one for one in kept if at_least(LEVEL_OF[one["code"]], least)], output)
    return 1 if any(at_least(LEVEL_OF[one["code"]], level) for one in kept) else 0


def _rule(text: str) -> tuple[str, str]:
    code, equals, resource = text.partition("=")
    if not equals or (code != "*" and code not in LEVEL_OF) or not resource:
        raise click.UsageError(f'--suppress "{text}" must be CODE=RESOURCE, as "IST0102=Namespace shop"')
    return code, resource


def _of_files(objects: Sequence[dict[str, Any]], mesh: MeshConfig, *, namespace: str) -> list[Found]:
    context = Context(parse_envoy=problems_of, root_namespace=mesh.root_namespace)
    material = Material.of(objects, namespace=namespace, mesh=mesh)
    return [one.shown() for one in findings_of(material, context)]


def _of_mesh(target: Target, objects: Sequence[dict[str, Any]], namespace: str) -> list[Found]:
    query = f"{PATH}?namespace={namespace}" if namespace else PATH
    method, body = ("POST", {"objects": list(objects)}) if objects else ("GET", None)
    answer = talk(target, lambda client: client.request(method, query, body=body))
    found: list[Found] = answer.value["items"]
    return [one for one in found if one["code"] in LEVEL_OF]


def _show(found: Sequence[Found], output: str) -> None:
    if output != "text":
        show(list(found), output)
        return
    for one in found:
        place = f"{one['path']}: " if one["path"] else ""
        click.echo(f"{one['level'].title()} [{one['code']}] ({one['resource']}) {place}{one['message']}")
    counts = Counter(one["level"] for one in found)
    told = ", ".join(f"{counts[level]} {level}" for level in _WORST_FIRST if counts[level])
    click.echo(f"found: {told or 'nothing'}", err=True)
