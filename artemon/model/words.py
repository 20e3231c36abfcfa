"""What pydantic found wrong, in words that a writer of YAML understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    (dict, "a mapping"),
    (list, "a list"),
)


def kind_of(value: Any) -> str:
    """What `value` is, as YAML's reader sees it: `text "5"`, `a list`, `null`."""
    if value is None:
        return "null"
    name = next((name for kind, name in _NAMES if isinstance(value, kind)), "something else")
    if isinstance(value, bool):
        return f"{name} ({str(value).lower()})"
    if isinstance(value, (int, float)):
        return f"{name} ({value})" if abs(value) < 1e18 else name
    if isinstance(value, str):
        return f'{name} ("{value}")' if len(value) <= 40 else name
    return name


def _wanted(what: str) -> Callable[[Mapping[str, Any], Any], str]:
    return lambda _, value: f"must be {what}, not {kind_of(value)}"


def _text_length(limits: Mapping[str, Any], _: Any) -> str:
    if limits.get("min_length") == 1:
        return "must not be empty"
    return f"must have at least {limits['min_length']} characters"


def _choice(limits: Mapping[str, Any], value: Any) -> str:
    expected = str(limits["expected"]).replace("'", "")
    return f"must be one of {expected}, not {kind_of(value)}"


_WORDS: dict[str, Callable[[Mapping[str, Any], Any], str]] = {
    "string_type": _wanted("text (put it in quotes)"),
    "string_unicode": lambda *_: "must be valid Unicode text",
    "int_type": _wanted("a whole number"),
    "int_from_float": _wanted("a whole number"),
    "float_type": _wanted("a number"),
    "finite_number": lambda *_: "must be a finite number",
    "bool_type": _wanted("true or false"),
    "tuple_type": _wanted("a list"),
    "dict_type": _wanted("a mapping"),
    "model_type": _wanted("a mapping"),
    "model_attributes_type": _wanted("a mapping"),
    "literal_error": _choice,
    "missing": lambda *_: "is required",
    "greater_than_equal": lambda limits, value: f"must be {limits['ge']} or more, not {value}",
    "less_than_equal": lambda limits, value: f"must be {limits['le']} or less, not {value}",
    "greater_than": lambda limits, value: f"must be more than {limits['gt']}, not {value}",
    "less_than": lambda limits, value: f"must be less than {limits['lt']}, not {value}",
    "string_too_short": _text_length,
    "string_too_long": lambda limits, _: f"must have at most {limits['max_length']} characters",
    "too_short": lambda limits, _: f"must have at least {limits['min_length']} entries",
    "too_long": lambda limits, _: f"must have at most {limits['max_length']} entries",
    "string_pattern_mismatch": lambda limits, value: f"{kind_of(value)} must match {limits['pattern']}",
    "value_error": lambda limits, _: str(limits["error"]),
}


def describe(error: Mapping[str, Any]) -> str:
    """One item of `ValidationError.errors()` as a sentence without its place."""
    words = _WORDS.get(error["type"])
    return words(error.get("ctx", {}), error["input"]) if words else str(error["msg"])


def path_of(location: Sequence[str | int], root: str = "") -> str:
    """`("http", 0, "timeout")` under `spec` -> `spec.http[0].timeout`; keys with other letters are quoted."""
    path = root
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step == "[key]":
            continue
        elif step and all(letter.isalnum() or letter in "_-" for letter in step):
            path += f".{step}" if path else step
        else:
            path += f'["{step}"]'
    return path
