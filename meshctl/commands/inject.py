"""meshctl inject: what the webhook would make of objects, from files alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from artemon.errors import Problem, Refused
from artemon.inject import InjectConfig, Injector, read_config, words
from artemon.inject.workload import pod_in, pod_path
from artemon.model.words import kind_of
from artemon.model.yaml_text import parse
from meshctl.inputs import FILE, read_mesh_config, read_one, read_texts
from meshctl.yaml_output import write_yaml


@click.command()
@click.option("-f", "--filename", "paths", multiple=True, required=True, help="File, folder, or - for stdin.")
@click.option("--inject-config", type=FILE, help="Istio's values (or an IstioOperator), as YAML.")
@click.option("--mesh-config", type=FILE, help="MeshConfig, as YAML.")
@click.option("-n", "--namespace", default="", help="Namespace of objects that name none.")
@click.option("--revision", default="", help="Revision to write down in the pods.")
def inject(
    paths: tuple[str, ...],
    inject_config: Path | None,
    mesh_config: Path | None,
    namespace: str,
    revision: str,
) -> None:
    """Print the objects with a proxy in their pods; whatever makes no pods is printed as it is.

    Example: meshctl inject -f deployment.yaml --inject-config values.yaml | kubectl apply -f -
    """
    config = _config(inject_config, revision)
    injector = Injector(config, read_mesh_config(mesh_config))
    made: list[Any] = []
    problems: list[Problem] = []
    for place, obj in _objects(paths, problems):
        try:
            done = injector.inject(obj, namespace=namespace)
        except Refused as refusal:
            problems += [Problem(place, str(Refused([one], refusal.subject))) for one in refusal.problems]
            continue
        for text in (
            *done.warnings,
            *([f"left as it is: {done.skipped}"] if _tells(obj, done.skipped) else []),
        ):
            click.echo(f"{place}: {text}", err=True)
        made.append(_whole(done.result))
    if problems:
        raise Refused(problems)
    write_yaml(made, sys.stdout)


def _tells(obj: dict[str, Any], skipped: str) -> bool:
    return bool(skipped) and skipped != "it makes no pods"


def _config(path: Path | None, revision: str) -> InjectConfig:
    config = read_config(read_one(path, "configuration"), str(path)) if path else InjectConfig()
    return config.model_copy(update={"revision": revision}) if revision else config


def _objects(paths: tuple[str, ...], problems: list[Problem]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with the place where it was written. Lists stay lists: what goes in comes out."""
    for name, text in read_texts(paths, problems):
        for document in parse(text):
            place = f"{name}:{document.line}"
            found = [Problem(f"{name}:{line}", why) for line, why in document.problems]
            problems += found
            if found or document.value is None:
                continue
            if isinstance(document.value, dict):
                yield place, document.value
            else:
                problems.append(Problem(place, f"an object must be a mapping, not {kind_of(document.value)}"))


def _whole(obj: Any) -> Any:
    """`obj` as the API server shows pods: every container says its resources, if only `{}`."""
    if obj.get("kind") == "List":
        return {**obj, "items": [_whole(item) for item in obj["items"]]}
    path = pod_path(obj)
    pod = None if path is None else pod_in(obj, path)
    if isinstance(pod, dict) and words.STATUS in (pod.get("metadata", {}).get("annotations") or {}):
        for kind in ("containers", "initContainers"):
            for container in pod["spec"].get(kind) or ():
                container.setdefault("resources", {})
    return obj
