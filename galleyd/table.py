"""Objects as rows: what `kubectl get` prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from artemon.model import schema
from artemon.model.resource import Kind
from artemon.model.schema import Column
from galleyd.catalog import NAMESPACE
from galleyd.objects import Object

_PHASE = Column("Status", ".status.phase", description="Whether it is in use.")


def columns(kind: Kind) -> tuple[Column, ...]:
    """The columns of a kind after its name."""
    own = schema.columns(kind)
    return (_PHASE, *own) if kind is NAMESPACE else own


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of every kind. now: for ages."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def columns(self, kind: Kind) -> list[Object]:
        """Column definitions."""
        name = Column("Name", ".metadata.name", description="Name of the object.")
        return [_definition(column) for column in (name, *columns(kind))]

    def cells(self, kind: Kind, whole: Object) -> list[Any]:
        """The cells of one object."""
        return [whole["metadata"]["name"], *(self._cell(whole, column) for column in columns(kind))]

    def _cell(self, whole: Object, column: Column) -> Any:
        value = _at(whole, column.path.strip(".").split("."))
        if column.type == "date":
            return age(str(value or ""), self.now())
        if value is None or isinstance(value, str) or column.type in {"integer", "number", "boolean"}:
            return value
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": "name" if column.name == "Name" else "",
        "description": column.description,
        "priority": column.priority,
    }


def _at(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


_UNITS = ((365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "m"))


def age(made: str, now: datetime) -> str:
    """How long ago `made` (RFC 3339) was, in one or two units: `5m`, `3h20m`, `2d`."""
    try:
        seconds = int((now - datetime.fromisoformat(made)).total_seconds())
    except (ValueError, TypeError):
        return "<unknown>"
    seconds = max(seconds, 0)
    for number, (size, unit) in enumerate(_UNITS):
        if seconds >= 2 * size or (seconds >= size and unit == "y"):
            count, rest = divmod(seconds, size)
            below, letter = (*_UNITS, (1, "s"))[number + 1]
            part = rest // below
            return f"{count}{unit}{part}{letter}" if count < 10 and part else f"{count}{unit}"
    return f"{seconds}s"
