"""Failures in Kubernetes' terms: `Status` objects with a reason and causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artemon.errors import ArtemonError, Problem
from artemon.model.resource import Kind


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason of a refusal. field: path as `spec.http[0].timeout`. subject: `Kind/namespace/name`, for
    transactions of several objects."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"
    subject: str = ""

    def json(self) -> dict[str, str]:
        """The cause as the API shows it."""
        shown = {"reason": self.reason, "message": self.message, "field": self.field}
        return {**shown, "object": self.subject} if self.subject else shown


class ApiError(ArtemonError):
    """A request that is answered with a `Status` of failure."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        causes: Sequence[Cause] = (),
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.causes = tuple(causes)
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def json(self) -> dict[str, Any]:
        """The `Status` object."""
        details = dict(self.details)
        if self.causes:
            details["causes"] = [cause.json() for cause in self.causes]
        shown: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        return {**shown, "details": details} if details else shown


def success(kind: Kind, name: str, uid: str) -> dict[str, Any]:
    """What a DELETE answers."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": name, "group": kind.group, "kind": kind.plural, "uid": uid},
    }


def _details(kind: Kind, name: str, *, plural: bool = True) -> dict[str, str]:
    return {"name": name, "group": kind.group, "kind": kind.plural if plural else kind.name}


def qualified(kind: Kind) -> str:
    """`virtualservices.networking.istio.io`, or the bare plural in the core group."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def bad_request(message: str, *, causes: Sequence[Cause] = ()) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message, causes=causes)


def not_found(kind: Kind, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, "NotFound", f'{qualified(kind)} "{name}" not found', details=_details(kind, name))


def unknown_path() -> ApiError:
    """404: no such resource."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(kind: Kind, name: str) -> ApiError:
    """409: an object of this name exists."""
    text = f'{qualified(kind)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, details=_details(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> ApiError:
    """409: the object changed since the caller read it."""
    why = why or "the object has been modified; read the latest version and make the change there"
    text = f'Operation cannot be fulfilled on {qualified(kind)} "{name}": {why}'
    return ApiError(409, "Conflict", text, details=_details(kind, name))


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: what was written is wrong, every reason at once."""
    reasons = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    joined = reasons[0] if len(reasons) == 1 else "[" + ", ".join(reasons) + "]"
    text = f'{kind.name}.{kind.group} "{name}" is invalid: {joined}'
    return ApiError(422, "Invalid", text, causes=causes, details=_details(kind, name, plural=False))


def expired(message: str) -> ApiError:
    """410: the asked revision is no longer known; list again."""
    return ApiError(410, "Expired", message)


def unsupported_media(message: str) -> ApiError:
    """415: the body is of a kind that is not read here."""
    return ApiError(415, "UnsupportedMediaType", message)


def too_large(message: str) -> ApiError:
    """413: the body or object is over its limit."""
    return ApiError(413, "RequestEntityTooLarge", message)


def forbidden(message: str) -> ApiError:
    """403: the caller may not do this."""
    return ApiError(403, "Forbidden", message)


def unauthorized(message: str) -> ApiError:
    """401: the caller is not known."""
    return ApiError(401, "Unauthorized", message, headers={"WWW-Authenticate": 'Bearer realm="artemon"'})


def unavailable(message: str) -> ApiError:
    """503: surely nothing was changed; trying again is safe."""
    return ApiError(503, "ServiceUnavailable", message, headers={"Retry-After": "1"})


def outcome_unknown(message: str) -> ApiError:
    """504: perhaps changed; read before writing again."""
    return ApiError(504, "Timeout", message)


_TYPE_WORDS = ("must be a ", "must be an ", "should be a valid", "must be text")


def cause_of(problem: Problem, subject: str = "") -> Cause:
    """A problem of validation as a cause."""
    words = problem.message.lower()
    if "required" in words or "must not be empty" in words or "must be specified" in words:
        reason = "FieldValueRequired"
    elif any(word in words for word in _TYPE_WORDS):
        reason = "FieldValueTypeInvalid"
    else:
        reason = "FieldValueInvalid"
    return Cause(problem.path, problem.message, reason, subject)
