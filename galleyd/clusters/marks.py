"""Whose an object in the registry is: the mesh's own, or a copy of one in a cluster. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from galleyd.objects import Object, meta_of

MARK = "artemon.io/cluster"
"""Annotation of copies: `<name of the cluster>/<uid of its namespace kube-system>`."""
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration",)


@dataclass(frozen=True, slots=True)
class Home:
    """A cluster by its name and by itself: a new one of the same name has another uid."""

    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.name}/{self.uid}"


def home_of(obj: Mapping[str, Any]) -> Home | None:
    """Where a stored object is a copy from; None: it is the mesh's own."""
    annotations = meta_of(obj).get("annotations")
    name, _, uid = str((annotations if isinstance(annotations, dict) else {}).get(MARK, "")).partition("/")
    return Home(name, uid) if name and uid else None


def copied(obj: Mapping[str, Any], home: Home) -> Object:
    """What is stored of a cluster's object: what a user decides of it, and the mark."""
    meta = meta_of(obj)
    given = meta.get("annotations") or {}
    annotations = {key: value for key, value in given.items() if key not in _NOT_COPIED}
    kept = {"name": meta["name"], "namespace": meta.get("namespace", "")}
    if meta.get("labels"):
        kept["labels"] = meta["labels"]
    kept["annotations"] = {**annotations, MARK: str(home)}
    whole = {key: obj[key] for key in ("apiVersion", "kind", "spec") if key in obj}
    return {**whole, "metadata": kept}


def goes_before(stored: Home | None, home: Home, order: Sequence[str]) -> bool:
    """Whether what is stored stays where `home` has an object of the same kind and name: the mesh's own goes
    before all clusters, and a cluster before those behind it in `order` (names)."""
    if stored is None:
        return True
    if stored.name == home.name or stored.name not in order:
        return False
    return order.index(stored.name) < order.index(home.name)
