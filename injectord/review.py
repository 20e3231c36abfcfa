"""An AdmissionReview in, an AdmissionReview out (admission.k8s.io/v1), without I/O."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from artemon.errors import ArtemonError, Refused
from artemon.inject import Injection
from artemon.model.limits import too_deep
from artemon.model.words import kind_of

Inject = Callable[[Mapping[str, Any], str], Injection]
Outcome = Literal["success", "skip", "failure"]
VERSION = "admission.k8s.io/v1"
_LONGEST_WARNING = 256  # longer ones are cut by the API server, and many together dropped


class Malformed(ArtemonError):
    """A body that is no AdmissionReview."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. object: what shall be created; None for other operations. who: for logs."""

    uid: str
    namespace: str
    operation: str
    object: Mapping[str, Any] | None
    who: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer as JSON has it, and what it amounts to. reason: why there is no proxy."""

    body: dict[str, Any]
    outcome: Outcome
    reason: str = ""


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
    creates = request["operation"] == "CREATE"
    if creates and not isinstance(obj, dict):
        raise Malformed(f"request.object: must be a mapping, not {kind_of(obj)}")
    who = request.get("userInfo")
    name = str(who.get("username", "")) if isinstance(who, dict) else ""
    return Asked(request["uid"], namespace, request["operation"], obj if creates else None, name)


def answer(asked: Asked, inject: Inject) -> Verdict:
    """What the API server is told: a patch, nothing to do, or a refusal with every reason."""
    if asked.object is None:
        return _allowed(asked, reason=f"{asked.operation} changes no proxy")
    try:
        done = inject(asked.object, asked.namespace)
    except Refused as refusal:
        status = {"status": "Failure", "code": 422, "reason": "Invalid", "message": str(refusal)}
        return Verdict(
            _review({"uid": asked.uid, "allowed": False, "status": status}), "failure", str(refusal)
        )
    if done.skipped:
        return _allowed(asked, reason=done.skipped)
    patch = base64.b64encode(json.dumps(list(done.patch)).encode()).decode()
    response: dict[str, Any] = {"uid": asked.uid, "allowed": True, "patchType": "JSONPatch", "patch": patch}
    if done.warnings:
        response["warnings"] = [text[:_LONGEST_WARNING] for text in done.warnings]
    return Verdict(_review(response), "success")


def _allowed(asked: Asked, *, reason: str) -> Verdict:
    return Verdict(_review({"uid": asked.uid, "allowed": True}), "skip", reason)


def _review(response: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}
