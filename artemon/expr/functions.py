"""What an expression can call: signatures and what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import re2

from artemon.expr.errors import EvaluationError
from artemon.expr.names import dns_name, email, same_email, same_name, same_uri, uri
from artemon.expr.values import Address, Timestamp, Value, ValueType, parse_address, parse_timestamp

T = ValueType
VARIABLE = None
"""In a signature: any one type, the same wherever it stands."""
_SINGLE = frozenset(T) - {T.STRING_MAP}
_ORDERED = frozenset({T.STRING, T.INT64, T.DOUBLE, T.TIMESTAMP, T.DURATION})
_SUMMED = frozenset({T.STRING, T.INT64, T.DOUBLE})


@dataclass(frozen=True, slots=True)
class Signature:
    """Types of a function. target: of what a method is called on. over: what VARIABLE may be."""

    arguments: tuple[ValueType | None, ...]
    result: ValueType | None
    target: ValueType | None = None
    over: frozenset[ValueType] = frozenset(T)


_COMPARISON = Signature((VARIABLE, VARIABLE), T.BOOL, over=_ORDERED)
_LOGIC = Signature((T.BOOL, T.BOOL), T.BOOL)
_EQUALITY = Signature((VARIABLE, VARIABLE), T.BOOL, over=_SINGLE)
_TEST = Signature((T.STRING,), T.BOOL, target=T.STRING)

SIGNATURES: Mapping[str, Signature] = MappingProxyType(
    {
        **dict.fromkeys(("EQ", "NEQ"), _EQUALITY),
        **dict.fromkeys(("LT", "LEQ", "GT", "GEQ"), _COMPARISON),
        **dict.fromkeys(("LAND", "LOR"), _LOGIC),
        "OR": Signature((VARIABLE, VARIABLE), VARIABLE),
        "ADD": Signature((VARIABLE, VARIABLE), VARIABLE, over=_SUMMED),
        "INDEX": Signature((T.STRING_MAP, T.STRING), T.STRING),
        "conditional": Signature((T.BOOL, VARIABLE, VARIABLE), VARIABLE),
        "match": Signature((T.STRING, T.STRING), T.BOOL),
        "ip": Signature((T.STRING,), T.IP_ADDRESS),
        "timestamp": Signature((T.STRING,), T.TIMESTAMP),
        "dnsName": Signature((T.STRING,), T.DNS_NAME),
        "email": Signature((T.STRING,), T.EMAIL_ADDRESS),
        "uri": Signature((T.STRING,), T.URI),
        "conditionalString": Signature((T.BOOL, T.STRING, T.STRING), T.STRING),
        **dict.fromkeys(("toLower", "reverse"), Signature((T.STRING,), T.STRING)),
        "size": Signature((T.STRING,), T.INT64),
        "emptyStringMap": Signature((), T.STRING_MAP),
        **dict.fromkeys(("matches", "startsWith", "endsWith"), _TEST),
    }
)

METHODS: Mapping[str, Signature] = MappingProxyType({"reverse": Signature((), T.STRING, target=T.STRING)})
"""Functions that may be called on a value as well: `text.reverse()` is `reverse(text)`."""


def glob(text: str, pattern: str) -> bool:
    """Whether the text is the pattern, or starts (`abc*`) or ends (`*abc`) as it says."""
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text.endswith(pattern[1:]) if pattern.startswith("*") else text == pattern


def matches(pattern: str, text: str) -> bool:
    """Whether the regular expression (RE2) finds something in the text."""
    try:
        return re2.search(pattern, text) is not None
    except re2.error as error:
        raise EvaluationError(f'"{pattern}" is not a regular expression: {_text(error)}') from error


def _text(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def _ip(text: str) -> Address:
    try:
        made = parse_address(text)
    except ValueError as error:
        raise EvaluationError(f"could not convert {text} to IP_ADDRESS") from error
    return made


def _timestamp(text: str) -> Timestamp:
    try:
        return parse_timestamp(text, {"$time": text})
    except ValueError as error:
        expected = "2006-01-02T15:04:05Z07:00"
        raise EvaluationError(
            f"could not convert '{text}' to TIMESTAMP. expected format: '{expected}'"
        ) from error


SAME: Mapping[ValueType, Callable[[Value], Any]] = MappingProxyType(
    {T.DNS_NAME: same_name, T.EMAIL_ADDRESS: same_email, T.URI: same_uri}
)
"""Type -> what of a value counts when two are compared."""

DOES: Mapping[str, Callable[..., Value]] = MappingProxyType(
    {
        "match": glob,
        "matches": matches,
        "startsWith": lambda text, start: text.startswith(start),
        "endsWith": lambda text, end: text.endswith(end),
        "ip": _ip,
        "timestamp": _timestamp,
        "dnsName": dns_name,
        "email": email,
        "uri": uri,
        "toLower": lambda text: text.lower(),
        "reverse": lambda text: text[::-1],
        "size": lambda text: len(text.encode()),
        "emptyStringMap": lambda: MappingProxyType({}),
    }
)
"""Function -> what it does with the values of its target and arguments."""
