"""Consul's answers and failures as our errors. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass

from artemon.errors import LeaseGone, StoreError, TooLarge, Unavailable, Unknown

NEVER_APPLIED = (
    "no cluster leader",
    "node is not the leader",
    "no known consul servers",
    "connection refused",
    "failed to get conn",
    "not ready to serve consistent reads",
)
"""Said by Consul when a write did not get to a leader."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one operation of a transaction failed."""

    operation: int
    reason: str


class Conflict(StoreError):
    """A transaction was refused by what is stored; nothing was applied."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("consul: " + "; ".join(fault.reason for fault in faults))


class Denied(StoreError):
    """The token is unknown, or lacks a right."""


def failure(agent: str, status: int, body: str, *, safe: bool) -> StoreError | None:
    """What an answer with `status` means; None for one that is no failure (200, 404). safe: it changed
    nothing that matters, whether it was applied or not."""
    text, lower = f"consul {agent}: {_line(body) or status}", body.lower()
    if status in {200, 404}:
        return None
    if status == 409:
        faults = _faults(body)
        denied = next((fault.reason for fault in faults if "permission denied" in fault.reason.lower()), "")
        return Denied(f"consul {agent}: {_line(denied)}") if denied else Conflict(faults)
    if status in {401, 403} or "acl not found" in lower:
        return Denied(text)
    if status == 413:
        return TooLarge(text)
    if status == 429 or (status >= 500 and any(words in lower for words in NEVER_APPLIED)):
        return Unavailable(text)
    if "invalid session ttl" in lower or status < 500:
        return StoreError(text)
    if "invalid session" in lower:
        return LeaseGone(text)
    return Unavailable(text) if safe else Unknown(text)


def _line(body: str) -> str:
    return " ".join(body.split())[:300]


def _faults(body: str) -> tuple[Fault, ...]:
    try:
        errors = json.loads(body)["Errors"] or ()
        return tuple(Fault(int(one["OpIndex"]), str(one["What"])) for one in errors)
    except (ValueError, TypeError, KeyError):
        return (Fault(-1, _line(body)),)
