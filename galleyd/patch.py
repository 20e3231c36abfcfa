"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902), on plain values."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from galleyd.body import MAX_BODY
from galleyd.status import ApiError, bad_request, too_large


def merge(target: Any, patch: Any) -> Any:
    """`target` with the merge patch applied; neither argument is changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def json_patch(target: Any, operations: Any) -> Any:
    """`target` with the operations applied, all or none.

    Raises ApiError: 400 for what is no JSON patch, 422 for one that does not fit the object.
    """
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    holder = {"": copy.deepcopy(target)}
    copied = 0
    for number, operation in enumerate(operations):
        op = operation.get("op") if isinstance(operation, dict) else None
        if not isinstance(op, str) or op not in _OPERATIONS:
            raise bad_request(
                f"operation {number} of the JSON patch must have an op: {', '.join(_OPERATIONS)}"
            )
        try:
            copied += len(json.dumps(_read(holder, operation["from"]))) if op == "copy" else 0
            if copied > MAX_BODY:
                raise too_large(f"the JSON patch copies more than {MAX_BODY} bytes")
            _OPERATIONS[op](holder, operation)
        except (KeyError, IndexError, ValueError, TypeError, RecursionError) as error:
            raise _misfit(number, operation, error) from error
    return holder[""]


def _misfit(number: int, operation: dict[str, Any], error: Exception) -> ApiError:
    where = f"{operation['op']} {operation.get('path', '')}"
    return ApiError(422, "Invalid", f"operation {number} of the JSON patch ({where}) does not fit: {error}")


def _steps(pointer: Any) -> list[str]:
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise ValueError("a path is text that begins with /")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")]


def _index(parent: list[Any], step: str, *, end: bool = False) -> int:
    if step == "-" and end:
        return len(parent)
    if not step.isascii() or not step.isdigit() or (step != "0" and step.startswith("0")):
        raise ValueError(f'"{step}" is not an index')
    index = int(step)
    if index >= len(parent) + end:
        raise ValueError(f"there is no element {index}")
    return index


def _step(parent: Any, step: str) -> Any:
    if isinstance(parent, list):
        return parent[_index(parent, step)]
    if not isinstance(parent, dict) or step not in parent:
        raise ValueError(f'there is no "{step}"')
    return parent[step]


def _locate(holder: dict[str, Any], pointer: Any) -> tuple[Any, str]:
    *path, last = _steps(pointer)
    parent: Any = holder
    for step in path:
        parent = _step(parent, step)
    return parent, last


def _read(holder: dict[str, Any], pointer: Any) -> Any:
    parent, last = _locate(holder, pointer)
    return _step(parent, last)


def _put(holder: dict[str, Any], pointer: Any, value: Any) -> None:
    parent, last = _locate(holder, pointer)
    if isinstance(parent, list):
        parent.insert(_index(parent, last, end=True), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise ValueError("its parent is neither a mapping nor a list")


def _take(holder: dict[str, Any], pointer: Any) -> Any:
    parent, last = _locate(holder, pointer)
    if parent is holder:
        raise ValueError("the whole object cannot be taken away")
    value = _step(parent, last)
    del parent[_index(parent, last) if isinstance(parent, list) else last]
    return value


def _add(holder: dict[str, Any], operation: dict[str, Any]) -> None:
    _put(holder, operation["path"], copy.deepcopy(operation["value"]))


def _remove(holder: dict[str, Any], operation: dict[str, Any]) -> None:
    _take(holder, operation["path"])


def _replace(holder: dict[str, Any], operation: dict[str, Any]) -> None:
    value = copy.deepcopy(operation["value"])
    parent, last = _locate(holder, operation["path"])
    _step(parent, last)
    parent[_index(parent, last) if isinstance(parent, list) else last] = value


def _move(holder: dict[str, Any], operation: dict[str, Any]) -> None:
    if (operation["path"] + "/").startswith(operation["from"] + "/") and operation["path"] != operation[
        "from"
    ]:
        raise ValueError("a value cannot be moved into itself")
    _put(holder, operation["path"], _take(holder, operation["from"]))


def _copy(holder: dict[str, Any], operation: dict[str, Any]) -> None:
    _put(holder, operation["path"], copy.deepcopy(_read(holder, operation["from"])))


def _test(holder: dict[str, Any], operation: dict[str, Any]) -> None:
    if not _same(_read(holder, operation["path"]), operation["value"]):
        raise ValueError("the value there is another")


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


_OPERATIONS: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
