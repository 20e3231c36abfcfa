"""What every object must keep to before anything looks at its content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from artemon.errors import Problem
from artemon.model.words import path_of

MAX_BYTES = 256 * 1024
"""Of one object as compact JSON: what every registry backend takes as one value."""
MAX_DEPTH = 64


def too_deep(value: Any) -> Iterator[Problem]:
    """Problems of nesting and of keys that are not text. Never recurses, so any input is safe."""
    pending: list[tuple[Any, tuple[str | int, ...]]] = [(value, ())]
    while pending:
        item, path = pending.pop()
        if len(path) > MAX_DEPTH:
            yield Problem(path_of(path[:4]), f"is nested more than {MAX_DEPTH} levels deep")
            return
        if isinstance(item, dict):
            for key, inner in item.items():
                if isinstance(key, str):
                    pending.append((inner, (*path, key)))
                else:
                    yield Problem(path_of(path), f"key {key!r} must be text; put it in quotes")
        elif isinstance(item, (list, tuple)):
            pending += [(inner, (*path, index)) for index, inner in enumerate(item)]


def too_large(value: Any) -> Iterator[Problem]:
    """A problem when `value` is over the size of one object. It must have passed `too_deep`."""
    try:
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        yield Problem("", f"is not JSON: {error}")
        return
    if size > MAX_BYTES:
        yield Problem("", f"has {size} bytes; one object may have {MAX_BYTES} (256 KiB)")
