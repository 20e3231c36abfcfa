"""Small objects for tests of rules: a spec that is right, and what a change makes of it."""

from __future__ import annotations

from typing import Any

from artemon.model import kinds
from artemon.model.decode import decode
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.validate import Context, problems


def resource(kind: str, spec: Any, **meta: Any) -> Resource[Message]:
    """The object of a kind (any word for it) in namespace `bookinfo`."""
    found = kinds.find(kind)
    assert found is not None
    return decode(
        {
            "apiVersion": found.api_version,
            "kind": found.name,
            "metadata": {"name": "reviews", "namespace": "bookinfo", **meta},
            "spec": spec,
        }
    )


def found(
    kind: str, spec: Any, *, level: str = "error", context: Context | None = None, **meta: Any
) -> dict[str, str]:
    """Path -> message of every problem of a level."""
    return {
        problem.path: problem.message
        for problem in problems(resource(kind, spec, **meta), context)
        if problem.level == level
    }
