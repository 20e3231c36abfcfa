"""What a server said when it refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artemon.errors import ArtemonError, Unavailable, Unknown


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason. subject: `Kind/namespace/name` in a transaction, else empty."""

    field: str
    message: str
    subject: str = ""


class Rejected(ArtemonError):
    """The server understood and refused. code: HTTP status; reason: as `NotFound`, `Conflict`, `Invalid`."""

    def __init__(self, code: int, reason: str, message: str, causes: tuple[Cause, ...] = ()) -> None:
        super().__init__(message)
        self.code, self.reason, self.causes = code, reason, causes

    @classmethod
    def of(cls, code: int, answer: Any) -> Rejected:
        """From the `Status` object in an answer, or from whatever else came."""
        status = answer if isinstance(answer, Mapping) else {}
        details = status.get("details")
        found = details.get("causes") if isinstance(details, Mapping) else None
        causes = tuple(
            Cause(str(item.get("field", "")), str(item.get("message", "")), str(item.get("object", "")))
            for item in (found if isinstance(found, list) else [])
            if isinstance(item, Mapping)
        )
        message = str(status.get("message") or f"the server answered {code}")
        return cls(code, str(status.get("reason") or ""), message, causes)

    def lines(self, subject: str = "") -> list[str]:
        """One line a reason, for people: `Kind/namespace/name: field: what is wrong`."""
        return [
            ": ".join(part for part in (cause.subject or subject, cause.field, cause.message) if part)
            for cause in self.causes
        ] or [str(self)]


def missing_rule(error: Rejected, rule: str) -> str:
    """What a server said, and when it refused for lack of a right (403), the rule that would grant it."""
    return f"{error}; a ClusterRole with this rule grants it: {rule}" if error.code == 403 else str(error)


class Gone(Rejected):
    """The revision asked for is no longer known (410): list again."""


_BY_CODE: Mapping[int, type[ArtemonError]] = {503: Unavailable, 502: Unavailable, 504: Unknown}


def refusal(code: int, value: Any, *, writing: bool = False) -> ArtemonError:
    """What an answer with a status that is no success comes to."""
    rejected = Rejected.of(code, value)
    if code == 410:
        return Gone(code, rejected.reason, str(rejected))
    kind = _BY_CODE.get(code)
    if kind is None:
        return rejected
    return kind(str(rejected)) if writing else Unavailable(str(rejected))
