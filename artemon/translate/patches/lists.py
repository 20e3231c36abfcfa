"""What a patch does to a list of named things: filters, routes, virtual hosts, filter chains."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import Any

from google.protobuf.message import Message

from artemon.translate.patches.merge import merge
from artemon.translate.patches.read import Patch

Chosen = Callable[[Any], bool]


def edit(items: Any, patch: Patch, chosen: Chosen, *, picks: bool) -> bool:
    """Whether the patch changed `items`, a repeated field. chosen: which of them the patch is about.

    picks: whether the patch says which; if not, insertions go to the ends, and filters are neither removed
    nor replaced by the caller's choice of `chosen`.
    """
    return _EDITS[patch.operation](items, patch, chosen, picks)


def _add(items: Any, patch: Patch, _: Chosen, __: bool) -> bool:
    """At the end; a filter with a class before those that come later than its class."""
    rank = _CLASSES.get(patch.filter_class)
    later = (at for at, one in enumerate(items) if rank is not None and _rank(one.name) >= rank)
    items.insert(next(later, len(items)), patch.given)
    return True


_CLASSES = {"AUTHN": 1, "AUTHZ": 2, "STATS": 3}
_RANKS = {
    "envoy.filters.http.jwt_authn": 1,
    "envoy.filters.http.ext_authz": 2,
    "envoy.filters.http.rbac": 2,
    "envoy.filters.network.ext_authz": 2,
    "envoy.filters.network.rbac": 2,
}
"""Filters that authenticate and those that authorize; all others come later."""


def _rank(name: str) -> int:
    return _RANKS.get(name, max(_RANKS.values()) + 1)


def _insert_first(items: Any, patch: Patch, chosen: Chosen, picks: bool) -> bool:
    """First of all, if what it picks is there. Filters come first either way (Istio)."""
    if picks and patch.apply_to == "HTTP_ROUTE" and not any(map(chosen, items)):
        return False
    items.insert(0, patch.given)
    return True


def _insert_before(items: Any, patch: Patch, chosen: Chosen, picks: bool) -> bool:
    at = _first(items, chosen) if picks else 0
    if at is not None:
        items.insert(at, patch.given)
    return at is not None


def _insert_after(items: Any, patch: Patch, chosen: Chosen, picks: bool) -> bool:
    at = _first(items, chosen) if picks else len(items) - 1
    if at is not None:
        items.insert(at + 1, patch.given)
    return at is not None


def _replace(items: Any, patch: Patch, chosen: Chosen, _: bool) -> bool:
    at = _first(items, chosen)
    if at is not None:
        items[at].CopyFrom(patch.given)
    return at is not None


def _remove(items: MutableSequence[Message], _: Patch, chosen: Chosen, __: bool) -> bool:
    gone = [index for index, one in enumerate(items) if chosen(one)]
    for index in reversed(gone):
        del items[index]
    return bool(gone)


def _merge(items: Any, patch: Patch, chosen: Chosen, _: bool) -> bool:
    found = [one for one in items if chosen(one)]
    for one in found:
        merge(one, patch.given, replace_lists=patch.replaces_lists)
    return bool(found)


def _first(items: Any, chosen: Chosen) -> int | None:
    return next((index for index, one in enumerate(items) if chosen(one)), None)


_EDITS: dict[str, Callable[[Any, Patch, Chosen, bool], bool]] = {
    "ADD": _add,
    "INSERT_FIRST": _insert_first,
    "INSERT_BEFORE": _insert_before,
    "INSERT_AFTER": _insert_after,
    "REPLACE": _replace,
    "REMOVE": _remove,
    "MERGE": _merge,
    "MERGE_AND_REPLACE_LIST": _merge,
}
