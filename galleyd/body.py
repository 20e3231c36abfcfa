"""Request bodies: JSON and YAML within limits, duplicate keys refused."""

from __future__ import annotations

import json
from typing import Any

from artemon.errors import ArtemonError
from artemon.model.decode import load_yaml
from galleyd.status import bad_request, too_large

MAX_BODY = 3 * 1024 * 1024
MAX_OBJECT = 256 * 1024
MAX_DEPTH = 64
MAX_ITEMS = 10_000
"""Elements of one list or mapping."""

JSON_TYPES = ("", "application/json")
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")


def parse_json(data: bytes) -> Any:
    """The value of a JSON text. Raises ApiError 400: not JSON, a key twice, too deep."""
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise bad_request(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise bad_request(f"the body is not valid JSON: {error}") from error
    check_shape(value)
    return value


def parse_yaml(data: bytes) -> list[Any]:
    """The documents of a YAML text. Raises ApiError 400 as `parse_json` does, and for aliases and tags."""
    try:
        documents = list(load_yaml(data.decode("utf-8")))
    except RecursionError:
        raise bad_request(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except UnicodeDecodeError as error:
        raise bad_request("the body is not UTF-8") from error
    except ArtemonError as error:
        raise bad_request(f"the body is not valid YAML: {error}") from error
    for document in documents:
        check_shape(document)
    return documents


def check_shape(value: Any) -> None:
    """Raises ApiError 400 when `value` is too deep, a list or mapping too long, or text is not Unicode."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict | list):
                inner += _members(item)
        if not inner:
            return
        level = inner
    raise bad_request(f"the body is nested deeper than {MAX_DEPTH} levels")


def check_size(encoded: bytes, ref: str) -> None:
    """Raises ApiError 413 when one object is over its limit."""
    if len(encoded) > MAX_OBJECT:
        raise too_large(f"{ref} has {len(encoded)} bytes; at most {MAX_OBJECT} are stored: split the object")


def _members(item: dict[str, Any] | list[Any]) -> list[Any]:
    if len(item) > MAX_ITEMS:
        raise bad_request(f"a list or mapping has {len(item)} elements; at most {MAX_ITEMS} are read")
    if isinstance(item, dict):
        for key in item:
            _check_text(key)
        return list(item.values())
    return item


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad_request("the body has text that is not Unicode (a lone surrogate)") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f'duplicate field "{key}"')
            seen.add(key)
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")
