"""Settings of a daemon: defaults < file < environment < flags. Unknown keys are fatal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin

import click
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artemon.errors import Problem, Refused
from artemon.plugins import problem_of

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """What every daemon can be told. Subclasses add fields, each with a `description`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    http: str = Field(
        "127.0.0.1:0", description="Address of /healthz, /readyz and /metrics (port 0: any free)."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "text", "json"] = Field(
        "auto",
        description="How events are written to stderr; auto: text, or with fields where it is the journal.",
    )
    node: str = Field("", description="Name of this process in the mesh; the machine's name when empty.")


def load(
    cls: type[S], *, name: str, file: str | None, environ: Mapping[str, str], flags: Mapping[str, Any]
) -> S:
    """The settings of daemon `name`. Raises Refused with every problem, each naming its source's key.

    Environment variables are `ARTEMON_<NAME>_<FIELD>`; lists are comma-separated or JSON there and in flags.
    """
    values: dict[str, Any] = _from_file(file) if file else {}
    prefix = f"ARTEMON_{name.upper()}_"
    for field in cls.model_fields:
        text = environ.get(prefix + field.upper())
        if text is not None:
            values[field] = _structured(cls, field, text)
    values |= {key: _structured(cls, key, value) for key, value in flags.items() if value is not None}
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise Refused(
            [problem_of(item, "is not a known setting") for item in error.errors()], subject=file or ""
        ) from error


def _from_file(file: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refused([Problem("", f"cannot be read: {error}")], subject=file) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise Refused([Problem("", "must be a mapping of settings")], subject=file)
    return {str(key): value for key, value in content.items()}


def _structured(cls: type[BaseModel], field: str, value: object) -> object:
    """Text from a flag or variable, as a list or mapping where the field is one."""
    if not isinstance(value, str) or field not in cls.model_fields:
        return value
    annotation = cls.model_fields[field].annotation
    origin = get_origin(annotation)
    if origin not in {list, tuple, dict} and not (value.startswith("{") and annotation is not str):
        return value
    if value.startswith(("[", "{")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if origin is dict:
        return dict(part.partition("=")[::2] for part in parts)
    return parts


def options(cls: type[Settings]) -> Callable[[click.Command], click.Command]:
    """Adds one flag per setting to a click command: `log_level` becomes `--log-level`."""

    def add(command: click.Command) -> click.Command:
        for field, info in cls.model_fields.items():
            command.params.append(
                click.Option(["--" + field.replace("_", "-"), field], default=None, help=info.description)
            )
        return command

    return add
