"""meshctl expr: attribute expressions of rules, without a mesh."""

from __future__ import annotations

import json
from pathlib import Path

import click

from artemon.expr import VOCABULARY, Manifest, compile_expression, read_attributes, read_manifest
from artemon.expr.values import json_value
from artemon.model.decode import load_yaml
from meshctl.inputs import FILE, read_one

MANIFEST = click.option(
    "--manifest",
    type=FILE,
    help="Names and types of attributes, as YAML or JSON; Istio's vocabulary by default.",
)


@click.group()
def expr() -> None:
    """Check and evaluate attribute expressions.

    Example: meshctl expr check 'request.headers["x-user"] | "unknown"'
    """


@expr.command()
@click.argument("expression")
@MANIFEST
def check(expression: str, manifest: Path | None) -> None:
    """Print the type of EXPRESSION, or say what is wrong with it.

    Example: meshctl expr check 'request.size > 1024'
    """
    program = compile_expression(expression, _manifest(manifest))
    click.echo(json.dumps({"type": program.type}))


@expr.command("eval")
@click.argument("expression")
@MANIFEST
@click.option("--attributes", type=FILE, help="Values of attributes, as YAML or JSON; none by default.")
def evaluate(expression: str, manifest: Path | None, attributes: Path | None) -> None:
    """Print the value of EXPRESSION, its type, and the attributes that decided it.

    Example: meshctl expr eval 'source.name | "nobody"' --attributes request.json
    """
    known = _manifest(manifest)
    program = compile_expression(expression, known)
    result = program.evaluate(read_attributes(known, read_one(attributes, "map") if attributes else {}))
    shown = {"type": program.type, "value": json_value(result.value), "referenced": list(result.referenced)}
    click.echo(json.dumps(shown))


def _manifest(path: Path | None) -> Manifest:
    return read_manifest(load_yaml(path.read_text(), str(path))) if path else VOCABULARY
