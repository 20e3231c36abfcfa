"""What is served where: groups, versions, kinds and verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artemon.errors import Problem
from artemon.model.decode import find_kind
from artemon.model.kinds import ALL_KINDS, EDGE_KINDS, OWN_KINDS, SECRET
from artemon.model.message import Message
from artemon.model.resource import Kind

NAMESPACE = Kind("Namespace", "", ("v1",), "namespaces", "namespace", ("ns",), Message)
EVENT = Kind("Event", "", ("v1",), "events", "event", ("ev",), Message)

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STATUS_VERBS = ("get", "patch", "update")
NAMESPACE_VERBS = ("create", "delete", "get", "list")
EVENT_VERBS = ("list",)
SECRET_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update")

CATEGORIES = ("istio-io", "artemon")
"""`kubectl get istio-io` lists every kind."""

REVIEWS = {
    ("authorization.k8s.io", "v1"): ("SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    ("authentication.k8s.io", "v1"): ("SelfSubjectReview", "selfsubjectreviews"),
}
"""Questions that a caller may ask about itself: group and version to kind and plural."""

REVIEW_PATHS = {
    f"/apis/{group}/{version}/{plural}": kind for (group, version), (kind, plural) in REVIEWS.items()
}
"""Path of each question -> its kind."""


def categories(kind: Kind) -> tuple[str, ...]:
    """The names under which several kinds are asked for at once."""
    if kind in OWN_KINDS or kind in EDGE_KINDS:
        return ("artemon",)
    return (*CATEGORIES, f"{kind.group.partition('.')[0]}-istio-io")


def group_versions() -> dict[str, tuple[str, ...]]:
    """Every group of configuration with its versions, the preferred one first."""
    found: dict[str, dict[str, None]] = {}
    for kind in ALL_KINDS:
        found.setdefault(kind.group, {}).update(dict.fromkeys(kind.versions))
    return {group: tuple(sorted(versions, key=_preference)) for group, versions in found.items()}


def kinds_of(group: str, version: str) -> tuple[Kind, ...]:
    """The kinds that one group and version serves."""
    return tuple(kind for kind in (*ALL_KINDS, SECRET) if kind.group == group and version in kind.versions)


def kind_at(group: str, version: str, plural: str) -> Kind | None:
    """The kind behind a path."""
    return next((kind for kind in kinds_of(group, version) if kind.plural == plural), None)


def kind_of(obj: Mapping[str, Any]) -> tuple[Kind | None, list[Problem]]:
    """The kind of an object that may be written here, or why there is none."""
    if (obj.get("apiVersion"), obj.get("kind")) == ("v1", SECRET.name):
        return SECRET, []
    return find_kind(obj)


def _preference(version: str) -> tuple[int, str]:
    """Stable before beta before alpha (Kubernetes' version priority)."""
    stage = 2 if "alpha" in version else 1 if "beta" in version else 0
    return (stage, version)
