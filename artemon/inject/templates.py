"""Templates of the user's own: pods, or parts of pods, that are merged onto the pod. Objects, never text to
be filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artemon.errors import Problem, Refused
from artemon.inject.fields import unknown_fields
from artemon.model.words import kind_of
from artemon.model.yaml_text import parse

_HOW = "templates are objects here; write the values out"


def read_templates(written: Any, path: str) -> dict[str, dict[str, Any]]:
    """Name -> part of a pod. A template may be written as an object or as its YAML text, as in Istio's
    values.

    Raises Refused for text with `{{`: what would be filled in could be anything.
    """
    if not isinstance(written, Mapping):
        raise Refused([Problem(path, f"must be a mapping of names to templates, not {kind_of(written)}")])
    found: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for name, template in written.items():
        where = f"{path}.{name}"
        value, wrong = _read(template, where)
        problems += wrong or list(unknown_fields(value, where))
        found[name] = value
    if problems:
        raise Refused(problems)
    return found


def _read(template: Any, where: str) -> tuple[dict[str, Any], list[Problem]]:
    if isinstance(template, str):
        if "{{" in template:
            return {}, [Problem(where, f"has actions of Go's text/template ({{{{ }}}}); {_HOW}")]
        documents = [
            document for document in parse(template) if document.value is not None or document.problems
        ]
        if len(documents) != 1:
            return {}, [Problem(where, "must be one YAML document")]
        wrong = [Problem(f"{where} line {line}", why) for line, why in documents[0].problems]
        if wrong:
            return {}, wrong
        template = documents[0].value
    if not isinstance(template, dict):
        return {}, [Problem(where, f"must be a part of a pod, not {kind_of(template)}")]
    return template, []
