"""Texts with a grammar: regular expressions, string matches, header names and values."""

from __future__ import annotations

import re
from functools import lru_cache

import re2

from artemon.model.virtual_service import StringMatch
from artemon.validate.findings import Problems, Reason, error, wrong
from artemon.validate.formats import operators

MAX_REGEX_BYTES = 1024
_HEADER_NAME = re.compile(r"[-_A-Za-z0-9]+")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""What HTTP takes for the name of a header (RFC 9110 section 5.1)."""
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_CLAIM = re.compile(r"@request\.auth\.claims((\.[^.\[\]]+)+|(\[[^\[\]]+\])+)", re.IGNORECASE)
_STRING = r'\s*"(?:[^"\\]|\\.)*"\s*'
_VARIABLE = re.compile(
    rf"%%|%[^%(]+%|%[^%(]*\(\s*\[{_STRING}(?:,{_STRING})*\]\s*\)\s*%|%[^%(]*\((?!\s*\[)(?:[^)\\]|\\.)*\)\s*%"
)


@lru_cache(maxsize=4096)
def regex(text: str) -> Reason:
    """Why `text` is not a regular expression for Envoy (RE2, at most 1024 bytes)."""
    if not text:
        return "regex must not be empty"
    if len(text.encode("utf-8", "replace")) > MAX_REGEX_BYTES:
        return f"regex has more than {MAX_REGEX_BYTES} bytes"
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(text, options)
    except (re2.error, UnicodeError) as problem:
        what = problem.args[0] if problem.args else problem
        return f"regex is not in RE2's syntax: {what.decode() if isinstance(what, bytes) else what}"
    return None


def string_match(match: StringMatch | None, path: str, *, empty_prefix: bool = False) -> Problems:
    """A match by prefix needs one (unless `empty_prefix`); a regular expression must compile."""
    if match is None:
        return
    if match.prefix == "" and not empty_prefix:
        yield error(f"{path}.prefix", "must not be empty")
    if match.regex is not None:
        yield from wrong(f"{path}.regex", regex(match.regex))


def header_name(name: str) -> Reason:
    """Why `name` is not the name of a header."""
    if not name:
        return "header name must not be empty"
    return (
        None
        if _HEADER_NAME.fullmatch(name)
        else f'"{name}" is not a header name (letters, digits, "-" and "_")'
    )


def is_claim(name: str) -> bool:
    """Whether a header match is in truth one on a claim (`@request.auth.claims.sub`)."""
    return _CLAIM.fullmatch(name) is not None


def is_authority(name: str) -> bool:
    """Whether the header is the request's authority."""
    return name.lower() in {":authority", "host"}


def settable_header(name: str, *, authority: bool) -> Reason:
    """Why the header cannot be set or removed; `authority` says whether `:authority` and `host` may."""
    if not name:
        return "header name must not be empty"
    if is_authority(name):
        return None if authority else f'header "{name}" cannot be changed here'
    if name.startswith(":"):
        return f'header "{name}" must not begin with ":"'
    return None if _TOKEN.fullmatch(name) else f'"{name}" is not a header name'


def header_value(value: str) -> Reason:
    """Why Envoy would not take `value`: control characters, a `%` that is not part of `%VARIABLE%` or `%%`,
    a variable that it does not know."""
    if not _HEADER_VALUE.fullmatch(value):
        return "header value must not have control characters"
    position = value.find("%")
    while position >= 0:
        found = _VARIABLE.match(value, position)
        if not found:
            return f'"%" in header value "{value}" must be written "%%" or be part of %VARIABLE%'
        position = value.find("%", found.end())
    return operators(value)
