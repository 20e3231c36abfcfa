"""In which form a command prints: `-o`, with the same words for every command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click
import yaml

Command = Callable[..., Any]


def before_the_command() -> Mapping[str, Any]:
    """Options that were written before the command (`meshctl -n shop get virtualservices`), by name."""
    said: Mapping[str, Any] = (click.get_current_context().find_root().obj or {}).get("before", {})
    return said


def output(*forms: str) -> Callable[[Command], Command]:
    """Adds `-o`; the first form is the default. `wide` is the text where a command has nothing to add."""
    known = [*forms, *(form for form in ("text", "json", "yaml", "wide") if form not in forms)]

    def chosen(_: click.Context, __: click.Parameter, form: str) -> str:
        return "text" if form == "wide" and "wide" not in forms else form

    return click.option(
        "-o",
        "--output",
        type=click.Choice(known),
        default=forms[0],
        show_default=True,
        callback=chosen,
        help="For whom.",
    )


def show(value: Any, form: str) -> None:
    """Print a value as JSON or YAML."""
    if form == "yaml":
        click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
    else:
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
