"""What `-f` names: files, folders with all that is in them, `-` for standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from artemon.errors import Problem, Refused
from artemon.model.decode import load_mesh_config, load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.validate import mesh_problems

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
SUFFIXES = frozenset({".yaml", ".yml", ".json"})


def read_objects(paths: Iterable[str]) -> list[dict[str, Any]]:
    """Every object in all of `paths`, in order. Raises Refused with what cannot be read, all at once."""
    objects: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for name, text in read_texts(paths, problems):
        try:
            objects += load_yaml(text, name)
        except Refused as refusal:
            problems += refusal.problems
    if problems:
        raise Refused(problems)
    return objects


def read_one(path: Path, what: str) -> dict[str, Any]:
    """The only object of a file, a `what`. Raises Refused."""
    found = load_yaml(path.read_text(), str(path))
    if len(found) != 1:
        raise Refused([Problem("", f"must hold one {what}")], str(path))
    return found[0]


def read_mesh_config(path: Path | None) -> MeshConfig:
    """The MeshConfig of a file, the defaults without one. Raises Refused."""
    mesh = load_mesh_config(path.read_text(), str(path)) if path else MeshConfig()
    wrong = [problem for problem in mesh_problems(mesh) if problem.level == "error"]
    if wrong:
        raise Refused(wrong, str(path))
    return mesh


def read_texts(paths: Iterable[str], problems: list[Problem]) -> Iterator[tuple[str, str]]:
    for path in paths:
        if path == "-":
            yield "standard input", sys.stdin.read()
            continue
        for file in _files(Path(path)):
            try:
                yield str(file), file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "is not text in UTF-8"
                problems.append(Problem(str(file), f"cannot be read: {reason}"))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file())
