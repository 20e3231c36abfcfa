"""Values and names of instances as other programs read them, and where those programs are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from artemon.daemon.address import split_address
from artemon.errors import ArtemonError, Problem
from artemon.expr.values import Address, Timestamp
from artemon.model.duration import Nanoseconds


def short(instance: str) -> str:
    """The name of an instance without its namespace."""
    return instance.rpartition("/")[2]


def address_problems(address: str) -> Iterator[Problem]:
    """What is wrong with `params.address`, a host and a port."""
    try:
        split_address(address)
    except ArtemonError as error:
        yield Problem("spec.params.address", str(error))


def plain(value: Any) -> Any:
    """As JSON has it: addresses and times (RFC 3339) are text, durations text in seconds ("0.25s")."""
    if isinstance(value, Address):
        return str(value.number)
    if isinstance(value, Timestamp):
        return moment(value)
    if isinstance(value, Nanoseconds):
        return str(value)
    return {name: plain(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def text(value: Any) -> str:
    """As a label has it."""
    found = plain(value)
    return str(found).lower() if isinstance(found, bool) else str(found)


def number(value: Any, *, unit: float = 1e9) -> float:
    """As a metric has it. unit: nanoseconds that durations are counted in. Raises ArtemonError."""
    if isinstance(value, Nanoseconds):
        return int(value) / unit
    if isinstance(value, (int, float)):
        return float(value)
    raise ArtemonError(f"{value!r} is not a number")


def moment(value: Timestamp) -> str:
    """RFC 3339, to the microsecond, in UTC."""
    whole, part = divmod(value.nanoseconds, 1_000_000_000)
    seconds = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{seconds}.{part // 1000:06d}Z"
