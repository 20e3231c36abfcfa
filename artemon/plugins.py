"""Plug-ins: what entry points offer for the scheme of a URL, and settings in its query."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from artemon.errors import Problem, Refused

Settings = TypeVar("Settings", bound=BaseModel)


def load(group: str, kind: str, *, mark: str, what: str = "scheme") -> Any:
    """The plug-in `kind` of the group. Raises LookupError that names those there are, `mark` behind each.
    what: they are called."""
    known = _installed(group)
    if kind not in known:
        raise LookupError(f"unknown {what}; use one of {', '.join(f'{one}{mark}' for one in sorted(known))}")
    return known[kind].load()


def in_query(query: str) -> dict[str, Any]:
    """The settings of a URL's query."""
    return dict(parse_qsl(query, keep_blank_values=True))


def checked(kind: type[Settings], values: Mapping[str, Any], *, owner: str, subject: str) -> Settings:
    """Raises Refused with all that is wrong with what was set. owner: whose settings they are."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        unknown = f"is not a setting of this {owner}"
        raise Refused([problem_of(item, unknown) for item in error.errors()], subject=subject) from error


def problem_of(item: Any, unknown: str) -> Problem:
    """One of pydantic's errors. unknown: what is said of a setting that there is not."""
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return Problem(path, unknown)
    return Problem(path, str(item["msg"]).removeprefix("Value error, "))


@cache
def _installed(group: str) -> Mapping[str, EntryPoint]:
    """The plug-ins of this environment; looking for them reads every installed distribution."""
    return {point.name: point for point in entry_points(group=group)}
