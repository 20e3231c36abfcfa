"""meshctl validate: what is wrong with configuration, before anybody sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from artemon.model.mesh_config import MeshConfig
from artemon.translate.envoy_values import problems_of
from artemon.validate import Context
from meshctl.forms import before_the_command, show
from meshctl.forms import output as output_form
from meshctl.inputs import FILE, read_mesh_config
from meshctl.validation import STDIN, Report, validate_paths


@click.command()
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    metavar="PATH",
    help="File, folder (with all below it) or - for standard input; may be repeated.",
)
@click.option("-n", "--namespace", help="Of objects that name none (default).")
@output_form("text", "json", "yaml")
@click.option("--mesh-config", type=FILE, help="MeshConfig, as YAML: for providers that policies name.")
@click.argument("more", nargs=-1, metavar="[PATH]...")
def validate(
    paths: tuple[str, ...],
    namespace: str | None,
    output: str,
    mesh_config: Path | None,
    more: tuple[str, ...],
) -> int:
    """Check configuration without a mesh; exit status 1 when something is invalid. Warnings alone are fine.

    Example: meshctl validate -f mesh.yaml -f rules/ -o json
    """
    namespace = namespace or before_the_command().get("namespace") or "default"
    missing = [path for path in (*paths, *more) if path != STDIN and not Path(path).exists()]
    if missing:
        raise click.BadParameter(f"no such file or folder: {', '.join(missing)}", param_hint="-f")
    mesh = read_mesh_config(mesh_config) if mesh_config else None
    root = (mesh or MeshConfig()).root_namespace
    context = Context(parse_envoy=problems_of, root_namespace=root)
    reports = list(validate_paths((*paths, *more), namespace=namespace, context=context, mesh=mesh))
    if output == "text":
        _show(reports)
    else:
        show([asdict(finding) for report in reports for finding in report.findings], output)
    for report in reports:
        for subject in report.foreign:
            click.echo(f"{_name(report)}: {subject}: passed over, it is not of the mesh", err=True)
    return 0 if all(report.valid for report in reports) else 1


def _show(reports: Sequence[Report]) -> None:
    for report in reports:
        for finding in report.findings:
            click.echo(str(finding))
        errors = sum(finding.level == "error" for finding in report.findings)
        warnings = len(report.findings) - errors
        counts = [_count(report.objects, "object")]
        counts += [
            _count(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number
        ]
        click.echo(f"{_name(report)}: {'valid' if report.valid else 'invalid'} ({', '.join(counts)})")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _name(report: Report) -> str:
    return "standard input" if report.file == STDIN else report.file
