"""The types of attributes and their values, as JSON has them and as they are computed with.

JSON forms: numbers, booleans, text and maps of text as they are; an IP address as text, as a list of its
bytes, or `{"$ip": text}`; a time as RFC 3339 text or `{"$time": text}`; a duration as text such as "19ms", as
a number of nanoseconds, or `{"$duration": text}`. A value goes out in the form in which it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import Any

from artemon.model.duration import Nanoseconds, parse_duration


class ValueType(StrEnum):
    """Mixer's value types."""

    STRING = "STRING"
    INT64 = "INT64"
    DOUBLE = "DOUBLE"
    BOOL = "BOOL"
    TIMESTAMP = "TIMESTAMP"
    IP_ADDRESS = "IP_ADDRESS"
    EMAIL_ADDRESS = "EMAIL_ADDRESS"
    URI = "URI"
    DNS_NAME = "DNS_NAME"
    DURATION = "DURATION"
    STRING_MAP = "STRING_MAP"


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address; IPv4 in its mapped form is the same address. written: the JSON form that it came in."""

    number: IPv4Address | IPv6Address
    written: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A point in time. nanoseconds: since 1970-01-01T00:00:00Z. written: the JSON form that it came in."""

    nanoseconds: int
    written: Any = field(default=None, compare=False)


Value = str | bool | int | float | Address | Timestamp | Nanoseconds | Mapping[str, str]

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9})\d*)?(Z|[-+]\d{2}:\d{2})", re.ASCII
)


def parse_address(text: str, written: Any = None) -> Address:
    """An IPv4 or IPv6 address. Raises ValueError."""
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, which is no part of an address")
    return _address(ip_address(text), written)


def _address(number: IPv4Address | IPv6Address, written: Any) -> Address:
    mapped = number.ipv4_mapped if isinstance(number, IPv6Address) else None
    return Address(mapped or number, written)


def parse_timestamp(text: str, written: Any = None) -> Timestamp:
    """A time as RFC 3339 writes it, to the nanosecond. Raises ValueError."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is not a time such as 2006-01-02T15:04:05Z')
    whole = datetime.fromisoformat(found[1] + ("+00:00" if found[3] == "Z" else found[3]))
    seconds = (whole - datetime.fromisoformat("1970-01-01T00:00:00+00:00")) // _SECOND
    return Timestamp(seconds * 1_000_000_000 + int((found[2] or "").ljust(9, "0")), written)


_SECOND = datetime.fromisoformat("1970-01-01T00:00:01") - datetime.fromisoformat("1970-01-01T00:00:00")


def _read_address(value: Any) -> Address:
    if isinstance(value, list) and all(type(byte) is int and 0 <= byte < 256 for byte in value):
        return _address(ip_address(bytes(value)), value)
    return parse_address(_tagged(value, "$ip"), value)


def _read_timestamp(value: Any) -> Timestamp:
    return parse_timestamp(_tagged(value, "$time"), value)


def _read_duration(value: Any) -> Nanoseconds:
    if type(value) is int:
        return Nanoseconds(value)
    return parse_duration(_tagged(value, "$duration"))


def _tagged(value: Any, tag: str) -> str:
    inner = value.get(tag) if isinstance(value, Mapping) and len(value) == 1 else value
    if not isinstance(inner, str):
        raise ValueError(f"{value!r} is neither text nor {{{tag!r}: text}}")
    return inner


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _read_integer(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError(f"{value!r} is not a whole number of 64 bits")
    return value


def _read_double(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _read_map(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError(f"{value!r} is not a map of texts")
    return MappingProxyType(dict(value))


_READERS: Mapping[ValueType, Callable[[Any], Value]] = MappingProxyType(
    {
        ValueType.STRING: _read_text,
        ValueType.INT64: _read_integer,
        ValueType.DOUBLE: _read_double,
        ValueType.BOOL: _read_bool,
        ValueType.TIMESTAMP: _read_timestamp,
        ValueType.IP_ADDRESS: _read_address,
        ValueType.EMAIL_ADDRESS: _read_text,
        ValueType.URI: _read_text,
        ValueType.DNS_NAME: _read_text,
        ValueType.DURATION: _read_duration,
        ValueType.STRING_MAP: _read_map,
    }
)


def read_value(kind: ValueType, value: Any) -> Value:
    """A JSON value as one of this type. Raises ValueError that says what it is instead."""
    return _READERS[kind](value)


def json_value(value: Value) -> Any:
    """The JSON form of a value."""
    if isinstance(value, Address):
        return {"$ip": str(value.number)} if value.written is None else value.written
    if isinstance(value, Timestamp):
        return value.written
    if isinstance(value, Nanoseconds):
        return {"$duration": value.written or str(value)}
    return dict(value) if isinstance(value, Mapping) else value
