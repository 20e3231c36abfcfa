"""Matchers that Envoy uses everywhere: of text, of numbers, of dynamic metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import re2
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.matcher.v3.value_pb2 import ValueMatcher


def fits_regex(pattern: str, text: str) -> bool:
    """Whether all of `text` matches, in RE2 as Envoy has it. A pattern that RE2 refuses matches nothing."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options).fullmatch(text) is not None
    except re2.error:
        return False


def fits_text(matcher: StringMatcher, text: str) -> bool:
    """Exact, prefix, suffix or contained text, in any case where the matcher says so; or all of a pattern."""
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return fits_regex(matcher.safe_regex.regex, text)
    wanted = str(getattr(matcher, kind)) if kind else ""
    if matcher.ignore_case:
        wanted, text = wanted.lower(), text.lower()
    match kind:
        case "exact":
            return text == wanted
        case "prefix":
            return text.startswith(wanted)
        case "suffix":
            return text.endswith(wanted)
        case "contains":
            return wanted in text
    return False


def fits_number(start: int, end: int, text: str) -> bool:
    """Whether text is a whole number from `start` up to, but not, `end`."""
    try:
        return start <= int(text) < end
    except ValueError:
        return False


def fits_metadata(matcher: MetadataMatcher, metadata: Mapping[str, Any]) -> bool:
    """Whether the value at a path of dynamic metadata fits."""
    value: Any = metadata.get(matcher.filter)
    for segment in matcher.path:
        value = value.get(segment.key) if isinstance(value, Mapping) else None
    return bool(fits_value(matcher.value, value) != matcher.invert)


def fits_value(matcher: ValueMatcher, value: Any) -> bool:
    """Null, number, text, boolean, presence, some element of a list, or one of several matchers."""
    match matcher.WhichOneof("match_pattern"):
        case "null_match":
            return value is None
        case "double_match":
            return _fits_double(matcher, value)
        case "string_match":
            return isinstance(value, str) and fits_text(matcher.string_match, value)
        case "bool_match":
            return isinstance(value, bool) and value == matcher.bool_match
        case "present_match":
            return (value is not None) == bool(matcher.present_match)
        case "list_match":
            listed = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
            return any(fits_value(matcher.list_match.one_of, one) for one in listed)
        case "or_match":
            return any(fits_value(one, value) for one in matcher.or_match.value_matchers)
    return False


def _fits_double(matcher: ValueMatcher, value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    wanted = matcher.double_match
    if wanted.WhichOneof("match_pattern") == "exact":
        return bool(value == wanted.exact)
    return bool(wanted.range.start <= value < wanted.range.end)
