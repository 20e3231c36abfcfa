"""AdmissionReview (admission.k8s.io/v1): what a cluster's API server asks. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artemon.errors import ArtemonError
from artemon.model.limits import too_deep
from artemon.model.words import kind_of

VERSION = "admission.k8s.io/v1"
MAX_BODY = 3 * 1024 * 1024
"""As large as the API server lets an object be, and what surrounds it."""
_LONGEST_WARNING = 256  # longer ones are cut by the API server, and many together dropped


class Malformed(ArtemonError):
    """A body that is no AdmissionReview."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. object: what it is about; None where something is deleted. who: for logs."""

    uid: str
    namespace: str
    operation: str
    object: Mapping[str, Any] | None
    who: str


def read(body: bytes) -> Asked:
    """The request in `body`. Raises Malformed with what is wrong."""
    try:
        review = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"is not JSON: {error}") from error
    deep = list(too_deep(review))
    if deep:
        raise Malformed(str(deep[0]))
    if not isinstance(review, dict):
        raise Malformed(f"must be an AdmissionReview, not {kind_of(review)}")
    found = (review.get("apiVersion"), review.get("kind"))
    if found != (VERSION, "AdmissionReview"):
        raise Malformed(f"must be an AdmissionReview of {VERSION}, not {found[1]!r} of {found[0]!r}")
    request = review.get("request")
    if not isinstance(request, dict):
        raise Malformed(f"request: must be a mapping, not {kind_of(request)}")
    return _asked(request)


def _asked(request: dict[str, Any]) -> Asked:
    for name in ("uid", "operation"):
        if not isinstance(request.get(name), str) or not request[name]:
            raise Malformed(f"request.{name}: must be text, not {kind_of(request.get(name))}")
    namespace = request.get("namespace") or ""
    if not isinstance(namespace, str):
        raise Malformed(f"request.namespace: must be text, not {kind_of(namespace)}")
    obj = request.get("object")
    writes = request["operation"] in {"CREATE", "UPDATE"}
    if writes and not isinstance(obj, dict):
        raise Malformed(f"request.object: must be a mapping, not {kind_of(obj)}")
    who = request.get("userInfo")
    name = str(who.get("username", "")) if isinstance(who, dict) else ""
    return Asked(request["uid"], namespace, request["operation"], obj if writes else None, name)


def allowed(asked: Asked, *, warnings: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """The answer that lets it through."""
    response: dict[str, Any] = {"uid": asked.uid, "allowed": True, **more}
    if warnings:
        response["warnings"] = [text[:_LONGEST_WARNING] for text in warnings]
    return _review(response)


def refused(asked: Asked, reason: str) -> dict[str, Any]:
    """The answer that does not, and why."""
    status = {"status": "Failure", "code": 422, "reason": "Invalid", "message": reason}
    return _review({"uid": asked.uid, "allowed": False, "status": status})


def _review(response: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}
