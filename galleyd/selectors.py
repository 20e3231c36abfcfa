"""labelSelector and fieldSelector of Kubernetes' lists and watches."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from galleyd.status import bad_request

Object = Mapping[str, Any]
Selector = Callable[[Object], bool]

_SET = re.compile(r"^\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s!=,()]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s!=,()]+)\s*$")
_COMMA = re.compile(r",(?![^()]*\))")

_FIELDS: dict[str, Callable[[Object], str]] = {
    "metadata.name": lambda obj: str(obj["metadata"].get("name", "")),
    "metadata.namespace": lambda obj: str(obj["metadata"].get("namespace", "")),
}


def selector(labels: str, fields: str) -> Selector:
    """Whether an object is selected by both texts. Raises ApiError 400 for what is not a selector."""
    terms = [_label_term(term) for term in _terms(labels)] + [_field_term(term) for term in _terms(fields)]
    return lambda obj: all(term(obj) for term in terms)


def _terms(text: str) -> list[str]:
    return [term for term in _COMMA.split(text) if term.strip()] if text.strip() else []


def _labels(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def _label_term(term: str) -> Selector:
    if found := _SET.match(term):
        key, values = found[1], {value.strip() for value in found[3].split(",")}
        if found[2] == "in":
            return lambda obj: _labels(obj).get(key) in values
        return lambda obj: _labels(obj).get(key) not in values
    if found := _EQUAL.match(term):
        key, value = found[1], found[3]
        if found[2] == "!=":
            return lambda obj: _labels(obj).get(key) != value
        return lambda obj: _labels(obj).get(key) == value
    if found := _EXISTS.match(term):
        key, wanted = found[2], not found[1]
        return lambda obj: (key in _labels(obj)) is wanted
    raise bad_request(f'"{term.strip()}" is not a label selector such as a=b, a!=b, a in (b,c), a or !a')


def _field_term(term: str) -> Selector:
    found = _EQUAL.match(term)
    if not found or found[1] not in _FIELDS:
        raise bad_request(
            f'"{term.strip()}" is not a field selector; known are {", ".join(_FIELDS)} with =, == and !='
        )
    read, value = _FIELDS[found[1]], found[3]
    if found[2] == "!=":
        return lambda obj: read(obj) != value
    return lambda obj: read(obj) == value
