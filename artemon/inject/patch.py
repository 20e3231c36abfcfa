"""The difference of two JSON values as RFC 6902 operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Operation = dict[str, Any]
"""One operation: `op`, `path` and, but for a removal, `value`."""


def difference(before: Any, after: Any, path: str = "") -> list[Operation]:
    """What turns `before` into `after`, to be applied in this order; nothing when they are equal.

    Lists that only grew at their ends are added to; other lists that changed in length are replaced whole, so
    that no index depends on an operation before it.
    """
    return list(_between(before, after, path))


def _between(before: Any, after: Any, path: str) -> Iterator[Operation]:
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _mappings(before, after, path)
    elif isinstance(before, list) and isinstance(after, list) and len(before) <= len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from _between(one, other, f"{path}/{index}")
        for value in after[len(before) :]:
            yield {"op": "add", "path": f"{path}/-", "value": value}
    else:
        yield {"op": "replace", "path": path, "value": after}


def _mappings(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Operation]:
    for key in before:
        if key not in after:
            yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
    for key, value in after.items():
        where = f"{path}/{_escaped(key)}"
        if key in before:
            yield from _between(before[key], value, where)
        else:
            yield {"op": "add", "path": where, "value": value}


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: `True` is not 1, inside of collections neither."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
