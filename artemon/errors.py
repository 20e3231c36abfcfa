"""The small tree of errors that cross seams; adapters translate foreign exceptions into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


class ArtemonError(Exception):
    """Base of everything this project raises on purpose. Its text is fit for a user."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what a user wrote.

    path: where, as `spec.http[0].timeout`; empty for the whole object.
    message: what is wrong and, where it can be said, what to do.
    """

    path: str
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Refused(ArtemonError):
    """What a user wrote is refused, with every reason at once."""

    def __init__(self, problems: Sequence[Problem], subject: str = "") -> None:
        self.problems = tuple(problems)
        self.subject = subject
        super().__init__(
            "\n".join(f"{subject}: {problem}" if subject else str(problem) for problem in problems)
        )


class StoreError(ArtemonError):
    """The registry did not do what was asked."""


class Unavailable(StoreError):
    """The registry cannot be reached or has no quorum; the write was surely not applied."""


class Unknown(StoreError):
    """The write was perhaps applied; read before writing again."""


class TooLarge(StoreError):
    """A value or transaction is over the limits common to all backends."""


class LeaseGone(StoreError):
    """A write named a lease that has expired or was revoked; nothing was applied. Take a new lease."""
