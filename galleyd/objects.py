"""Objects as the API shows and the registry keeps them: plain mappings, never changed in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from artemon.errors import Problem
from artemon.model.resource import Kind

Object = dict[str, Any]

HELD_KEYS = "artemon.io/keys"
"""Annotation of a Secret that is shown: under which keys it holds data, which is not shown."""
_UNSEEN = ("keys", "sealed", "data", "stringData")

SUFFIX = 5
"""Characters that generateName adds."""
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

_KEPT = frozenset({"name", "namespace", "labels", "annotations"})
_DROPPED = frozenset({"finalizers", "ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds"})


@dataclass(frozen=True, slots=True)
class Ref:
    """Which object."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.kind.name}/{self.namespace}/{self.name}"
            if self.namespace
            else f"{self.kind.name}/{self.name}"
        )


def meta_of(obj: Mapping[str, Any]) -> Object:
    """The metadata of anything; {} where it has none."""
    meta = obj.get("metadata")
    return meta if isinstance(meta, dict) else {}


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in the registry. version: its key's version, shown as resourceVersion. sequence: of galleyd's
    signature; 0 when it has none that counts."""

    object: Object
    version: int
    sequence: int = 0


def shown(stored: Stored, api_version: str) -> Object:
    """The object as a client that asked for `api_version` sees it."""
    whole = open_part(stored.object)
    meta = whole["metadata"]
    head = {key: meta[key] for key in ("name", "namespace", "uid") if key in meta}
    return {
        **whole,
        "apiVersion": api_version,
        "metadata": {**head, "resourceVersion": str(stored.version), **meta},
    }


def open_part(obj: Object) -> Object:
    """What may be shown and remembered of a stored object: of a Secret, everything but its data."""
    if "sealed" not in obj:
        return obj
    meta = meta_of(obj)
    held = {HELD_KEYS: ",".join(obj.get("keys", ()))}
    whole = {key: value for key, value in obj.items() if key not in _UNSEEN}
    return {**whole, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), **held}}}


def split(obj: Mapping[str, Any]) -> tuple[Object, list[Problem]]:
    """What a user may decide of an object, and warnings about what is left out. Status is not theirs."""
    meta = meta_of(obj)
    kept = {key: meta[key] for key in meta if key in _KEPT and meta[key] not in (None, {}, "")}
    warnings = [
        Problem(f"metadata.{key}", "is not kept here", level="warning") for key in meta if key in _DROPPED
    ]
    body = {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
    body["spec"] = body.get("spec") or {}
    return {**body, "metadata": kept}, warnings


def created(obj: Object, *, uid: str, now: str) -> Object:
    """A new object with what the server decides. now: RFC 3339."""
    meta = obj["metadata"]
    own = {"uid": uid, "generation": 1, "creationTimestamp": now}
    return _ordered({**obj, "metadata": _meta(meta, own)})


def updated(before: Object, obj: Object) -> Object:
    """`obj` in the place of `before`: identity and status stay, generation grows with the spec."""
    old = before["metadata"]
    grown = old.get("generation", 1) + (obj["spec"] != before.get("spec", {}))
    own = {
        "uid": old.get("uid", ""),
        "generation": grown,
        "creationTimestamp": old.get("creationTimestamp", ""),
    }
    fresh = {**obj, "metadata": _meta(obj["metadata"], own)}
    if "status" in before:
        fresh["status"] = before["status"]
    return _ordered(fresh)


def with_status(before: Object, status: object) -> Object:
    """`before` with another status; nothing else changes."""
    rest = {key: value for key, value in before.items() if key != "status"}
    return {**rest, "status": status} if status else rest


def generated_name(prefix: str, choose: Callable[[str], str]) -> str:
    """A name from generateName; `choose` picks one character."""
    return prefix[: 63 - SUFFIX] + "".join(choose(SUFFIX_ALPHABET) for _ in range(SUFFIX))


def _meta(meta: Object, own: Object) -> Object:
    order = ("name", "namespace", "uid", "generation", "creationTimestamp", "labels", "annotations")
    merged = {**meta, **own}
    return {key: merged[key] for key in order if key in merged}


def _ordered(obj: Object) -> Object:
    order = ("apiVersion", "kind", "metadata", "spec", "status")
    return {key: obj[key] for key in order if key in obj}
