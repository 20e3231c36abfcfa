"""The adapters of this environment, and their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from artemon import plugins
from artemon.adapters.api import GROUP, Adapter, Params
from artemon.adapters.templates import Shape
from artemon.errors import Problem
from artemon.model.words import path_of


def named(name: str) -> Adapter:
    """The adapter of this name. Raises LookupError that tells which there are."""
    try:
        found: Adapter = plugins.load(GROUP, name, mark="", what="adapter")
    except ImportError as error:
        raise LookupError(f"the adapter cannot be loaded: {error}") from error
    return found


def judged(adapter: Adapter, params: Params, shapes: Sequence[Shape]) -> list[Problem]:
    """What the adapter finds wrong; that it cannot say is a problem as well."""
    try:
        return list(adapter.problems(params, shapes))
    except Exception as error:  # noqa: BLE001 - a plug-in's own fault must not end a daemon
        return [Problem("spec.params", f"the adapter cannot judge them: {error or type(error).__name__}")]


def read_params(adapter: Adapter, params: Mapping[str, Any]) -> tuple[Params | None, list[Problem]]:
    """The parameters, or every problem that they have, with paths below `spec.params`."""
    try:
        return adapter.params.model_validate(params), []
    except ValidationError as error:
        items = error.errors(include_url=False)
        return None, [Problem(path_of(item["loc"], "spec.params"), item["msg"]) for item in items]
