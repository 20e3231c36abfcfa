"""What an expression can call: signatures and what they do.

Comparisons of DNS names, e-mail addresses and URIs disregard what their standards disregard: case of names
and hosts, a final dot, the default port of http and https (RFC 4343, RFC 5321 section 2.4, RFC 3986
section 6.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import idna
import re2

from artemon.expr.errors import EvaluationError
from artemon.expr.values import Address, Timestamp, Value, ValueType, parse_address, parse_timestamp

T = ValueType
VARIABLE = None
"""In a signature: any one type, the same wherever it stands."""
_SINGLE = frozenset(T) - {T.STRING_MAP}
_ORDERED = frozenset({T.STRING, T.INT64, T.DOUBLE, T.TIMESTAMP, T.DURATION})
_SUMMED = frozenset({T.STRING, T.INT64, T.DOUBLE})
_LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+")
_PORTS = {"http": 80, "https": 443}


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
        **dict.fromkeys(("LT", "LE", "GT", "GE"), _COMPARISON),
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
        "toLower": Signature((T.STRING,), T.STRING),
        "size": Signature((T.STRING,), T.INT64),
        "emptyStringMap": Signature((), T.STRING_MAP),
        **dict.fromkeys(("matches", "startsWith", "endsWith"), _TEST),
    }
)


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
        raise EvaluationError(f'"{text}" is not an IP address') from error
    return made


def _timestamp(text: str) -> Timestamp:
    try:
        return parse_timestamp(text, {"$time": text})
    except ValueError as error:
        raise EvaluationError(str(error)) from error


def dns_name(text: str) -> str:
    """The name in lower case, checked label by label (UTS 46, STD 3 rules)."""
    try:
        idna.encode(text, uts46=True, std3_rules=True)
        return str(idna.uts46_remap(text, std3_rules=True))
    except (idna.IDNAError, UnicodeError) as error:
        raise EvaluationError(f'"{text}" is not a DNS name: {error}') from error


def _email(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local) or ".." in f".{local}.":
        raise EvaluationError(f'"{text}" is not an e-mail address')
    dns_name(domain)
    return text


def _uri(text: str) -> str:
    broken = re.search(r"[\x00-\x20\x7f]|%(?![0-9A-Fa-f]{2})", text)
    try:
        urlsplit(text).port  # noqa: B018 reading it checks it
    except ValueError as error:
        raise EvaluationError(f'"{text}" is not a URI: {error}') from error
    if not text or broken or text.startswith(":"):
        raise EvaluationError(f'"{text}" is not a URI')
    return text


def _same_name(name: Any) -> Any:
    return dns_name(name).rstrip(".")


def _same_email(address: Any) -> Any:
    local, _, domain = str(address).rpartition("@")
    return local, _same_name(domain)


def _same_uri(text: Any) -> Any:
    parts = urlsplit(text)
    port = parts.port if parts.port != _PORTS.get(parts.scheme) else None
    path = unquote(parts.path) or ("/" if parts.scheme in _PORTS else "")
    host = (parts.hostname or "").rstrip(".")
    return parts.scheme, parts.username, parts.password, host, port, path, parts.query, parts.fragment


SAME: Mapping[ValueType, Callable[[Value], Any]] = MappingProxyType(
    {T.DNS_NAME: _same_name, T.EMAIL_ADDRESS: _same_email, T.URI: _same_uri}
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
        "email": _email,
        "uri": _uri,
        "toLower": lambda text: text.lower(),
        "size": lambda text: len(text.encode()),
        "emptyStringMap": lambda: MappingProxyType({}),
    }
)
"""Function -> what it does with the values of its target and arguments."""
