"""Durations as Istio's YAML writes them ("1h30m", "250ms"): the grammar of Go's time.ParseDuration."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_LIMIT = 315_576_000_000 * 1_000_000_000  # seconds of google.protobuf.Duration


class Nanoseconds(int):
    """A span of time in nanoseconds. written: the text it was read from, so that it can be given back."""

    written: str = ""

    @property
    def seconds(self) -> float:
        """The span in seconds."""
        return int(self) / 1e9

    def __str__(self) -> str:
        whole = Decimal(int(self)) / 1_000_000_000
        return f"{whole.normalize():f}s"


def parse_duration(text: str) -> Nanoseconds:
    """`text` in nanoseconds. Raises ValueError when it is not a duration or out of range (10,000 years)."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return _written(0, text)
    total, position = Decimal(0), 0
    for part in _PART.finditer(rest):
        if part.start() != position:
            break
        try:
            total += Decimal(part.group(1)) * UNITS[part.group(2)]
        except InvalidOperation:
            break
        position = part.end()
    if not rest or position != len(rest):
        raise ValueError(f'"{text}" is not a duration such as "1h", "5s" or "250ms"')
    if total > _LIMIT:
        raise ValueError(f'"{text}" is longer than 10,000 years')
    return _written(sign * int(total), text)


def _written(value: int, text: str) -> Nanoseconds:
    span = Nanoseconds(value)
    span.written = text
    return span


def _decode(value: Any) -> Nanoseconds:
    if isinstance(value, Nanoseconds):
        return value
    if not isinstance(value, str):
        raise ValueError('must be a duration in quotes, such as "5s"')
    return parse_duration(value)


Duration = Annotated[
    Nanoseconds,
    PlainValidator(_decode),
    PlainSerializer(lambda span: span.written or str(span), return_type=str),
    WithJsonSchema({"type": "string", "format": "duration"}),
]
