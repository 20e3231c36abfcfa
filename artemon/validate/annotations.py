"""Annotations with a meaning to the mesh."""

from __future__ import annotations

from artemon.model.authorization_policy import AuthorizationPolicy
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.words import path_of
from artemon.validate.findings import Problems, error

DRY_RUN = "istio.io/dry-run"
REJECT = frozenset({"istio.io/always-reject", "internal.istio.io/webhook-always-reject"})
_PARENTS = "internal.istio.io/parent"
_BOOLEANS = frozenset("1 t T TRUE true True 0 f F FALSE false False".split())  # noqa: SIM905


def annotated(resource: Resource[Message]) -> Problems:
    """What is wrong with the annotations of any object."""
    for name, value in resource.meta.annotations.items():
        path = path_of((name,), "metadata.annotations")
        if name in REJECT:
            yield error(path, "asks for the object to be refused")
        elif name.startswith(_PARENTS):
            yield error(path, "is for objects made by the mesh itself")
        elif name == DRY_RUN:
            yield from _dry_run(resource.spec, value, path)


def _dry_run(spec: Message, value: str, path: str) -> Problems:
    if not isinstance(spec, AuthorizationPolicy):
        yield error(path, "is for AuthorizationPolicy only")
    elif spec.action not in {"ALLOW", "DENY"}:
        yield error(path, f"works with ALLOW and DENY, not with {spec.action}")
    elif value not in _BOOLEANS:
        yield error(path, f'must be "true" or "false", not "{value}"')
