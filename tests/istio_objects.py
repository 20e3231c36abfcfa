"""Hypothesis strategies for objects of every kind: right in shape, arbitrary in content."""

from __future__ import annotations

import typing
from functools import cache
from types import UnionType
from typing import Any

from hypothesis import strategies as st

from artemon.model import kinds
from artemon.model.duration import Nanoseconds
from artemon.model.message import Message
from artemon.model.resource import Kind

WORDS = (
    "a",
    "reviews",
    "*.example.com",
    "v1",
    "10.0.0.0/8",
    "",
    "mesh",
    "~",
    "x-user",
    "*",
    "ns/gw",
    "/path",
    "%A%",
)
TEXTS = st.sampled_from(WORDS) | st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
STRUCTS = st.dictionaries(TEXTS, st.booleans() | st.integers(0, 9) | TEXTS, max_size=2)
_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    bool: st.booleans(),
    int: st.integers(0, 70_000),
    float: st.floats(0, 200) | st.integers(0, 200),
    Nanoseconds: st.sampled_from(("1s", "1h30m", "250ms", "0.5s", "0s", "10ns", "-1s", "0")),
    Any: st.booleans() | TEXTS,
}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """What can be written for a field of this type."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if origin is typing.Annotated:
        return values(arguments[0])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in {typing.Union, UnionType}:
        return values(next(one for one in arguments if one is not type(None)))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2)
    if origin is dict:
        return STRUCTS if arguments[1] is Any else st.dictionaries(TEXTS, values(arguments[1]), max_size=2)
    return messages(annotation)


@cache
def messages(model: type[Message]) -> st.SearchStrategy[dict[str, Any]]:
    """What can be written for one message: required fields, some others, one member of each oneof."""
    fields = {
        field.alias or name: st.deferred(lambda field=field: values(field.annotation))
        for name, field in model.model_fields.items()
    }
    required = {name: fields.pop(name) for name in model.required}
    return st.fixed_dictionaries(required, optional=fields).map(lambda value: _one_of_each(model, value))


def _one_of_each(model: type[Message], value: dict[str, Any]) -> dict[str, Any]:
    surplus = {
        name for members in model.oneofs.values() for name in [one for one in members if one in value][1:]
    }
    return {name: inner for name, inner in value.items() if name not in surplus}


@st.composite
def objects(draw: st.DrawFn, of: tuple[Kind, ...] = kinds.KINDS) -> dict[str, Any]:
    """An object of some kind, in some version that it has."""
    kind = draw(st.sampled_from(of))
    return {
        "apiVersion": f"{kind.group}/{draw(st.sampled_from(kind.versions))}",
        "kind": kind.name,
        "metadata": {"name": draw(st.sampled_from(("a", "reviews", "a.b"))), "namespace": "bookinfo"},
        "spec": draw(messages(kind.spec)),
    }
