"""Kubernetes objects, read: from JSON or from fields, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from artemon.errors import Problem
from artemon.registry.kubernetes_shapes import SHAPES, Key, Object

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unfit:
    """An object that has not the shape of its kind."""

    key: Key
    problems: tuple[Problem, ...]


def read_json(kind: str, text: bytes | msgspec.Raw) -> Object | Unfit:
    """An object of a cluster. Raises ValueError where it is not even JSON."""
    try:
        return _decoder(kind).decode(text)
    except msgspec.ValidationError:
        return read(kind, msgspec.json.decode(text))


def read(kind: str, fields: Any) -> Object | Unfit:
    """An object of its fields; null counts as absent."""
    shape = SHAPES[kind]
    for given in (fields, _without_null(fields)):
        try:
            return msgspec.convert(given, shape)
        except msgspec.ValidationError as error:
            said = str(error)
    return _unfit(kind, shape, fields, said)


@cache
def _decoder(kind: str) -> msgspec.json.Decoder[Object]:
    return msgspec.json.Decoder(SHAPES[kind])


def _without_null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return [_without_null(one) for one in value] if isinstance(value, list | tuple) else value


def _unfit(kind: str, shape: type[Object], fields: Any, said: str) -> Unfit:
    meta = fields.get("metadata") if isinstance(fields, Mapping) else None
    known = meta if isinstance(meta, Mapping) else {}
    space, name = known.get("namespace") or "default", known.get("name") or ""
    subject = f"{kind}/{space}/{name or '(unnamed)'}"
    found = list(_misfits(fields, inspect.type_info(shape), "")) or [("", said)]
    problems = tuple(Problem(f"{subject}: {path}".rstrip(": "), reason) for path, reason in found)
    everywhere = kind in {"Node", "Namespace"}
    return Unfit(("" if everywhere else str(space), str(name)), problems)


def _misfits(value: Any, shape: inspect.Type, path: str) -> Iterator[tuple[str, str]]:
    """Everything that is wrong, by path: a decoder stops at the first."""
    if isinstance(shape, inspect.StructType):
        yield from _fields(value, shape, path)
    elif isinstance(shape, inspect.VarTupleType):
        if not isinstance(value, list | tuple):
            yield path, "must be a list"
            return
        for index, each in enumerate(value):
            yield from _misfits(each, shape.item_type, f"{path}[{index}]")
    elif reason := _misfit(value, shape):
        yield path, reason


def _fields(value: Any, shape: inspect.StructType, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield path, "must be an object"
        return
    for field in shape.fields:
        place = f"{path}.{field.encode_name}" if path else field.encode_name
        found = value.get(field.encode_name)
        if found is not None:
            yield from _misfits(found, field.type, place)
        elif field.required:
            yield place, "is required"


def _misfit(value: Any, shape: inspect.Type) -> str:
    match shape:
        case inspect.DictType():
            texts = isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())
            return "" if texts else "must be names with texts"
        case inspect.IntType():
            number = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
            return "" if number else "must be a port number, 1 to 65535"
        case inspect.BoolType():
            return "" if isinstance(value, bool) else "must be true or false"
    if isinstance(value, bool):
        return "must not be true or false"
    if isinstance(shape, inspect.UnionType):
        return "" if isinstance(value, int | str) else "must be a port number or name"
    return "" if isinstance(value, str) else "must be text"
