"""What the status of an object in its cluster says, in the form of Istio's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from galleyd.progress import Progress

MAX_MESSAGE = 1024
Reason = Literal["Accepted", "Invalid", "Conflict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one generation of an object. revision: of the registry, where it is in force."""

    generation: int
    reason: Reason
    message: str = ""
    revision: int = 0

    @property
    def accepted(self) -> bool:
        """Whether it is in force."""
        return self.reason == "Accepted"


def status_of(verdict: Verdict, reached: Progress | None, before: Any, *, now: str) -> dict[str, Any]:
    """The status. reached: of the proxies, for what is accepted. before: the status that it has now, whose
    times are kept for what did not change. now: RFC 3339."""
    conditions = [_condition("Accepted", verdict.accepted, verdict.reason, verdict.message)]
    if verdict.accepted and reached is not None:
        conditions.append(_reconciled(reached))
    else:
        conditions.append(_condition("Reconciled", False, verdict.reason, "it is not in force"))
    times = {name: (value.get("status"), value) for name, value in _known(before).items()}
    for one in conditions:
        state, old = times.get(one["type"], (None, {}))
        same = state == one["status"] and old.get("lastTransitionTime")
        one["lastTransitionTime"] = old["lastTransitionTime"] if same else now
    return {"observedGeneration": verdict.generation, "conditions": conditions}


def says_the_same(before: Any, after: Mapping[str, Any]) -> bool:
    """Whether nothing is worth writing: how many proxies there are is not, once all have it."""
    known = _known(before)
    if not known or before.get("observedGeneration") != after["observedGeneration"]:
        return False
    return all(_told(known.get(one["type"], {})) == _told(one) for one in after["conditions"])


def _told(one: Mapping[str, Any]) -> tuple[Any, ...]:
    counted = one.get("type") == "Reconciled" and one.get("status") == "True"
    return one.get("status"), one.get("reason"), "" if counted else one.get("message")


def _reconciled(reached: Progress) -> dict[str, Any]:
    total = reached.proxies
    if reached.nacks:
        first = reached.nacks[0]
        text = f"{first.proxy} refused {first.resource or first.type}: {first.message}"
        return _condition("Reconciled", False, "Refused", text)
    if reached.pending:
        text = f"{len(reached.acked)}/{total} proxies have it; waiting for {', '.join(reached.pending[:3])}"
        return _condition("Reconciled", False, "Pending", text)
    return _condition("Reconciled", True, "Reconciled", f"{total}/{total} proxies have it")


def _condition(kind: str, holds: bool, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": reason,
        "message": message[:MAX_MESSAGE],
    }


def _known(before: Any) -> dict[str, Mapping[str, Any]]:
    listed = before.get("conditions") if isinstance(before, dict) else None
    found = listed if isinstance(listed, list) else []
    return {str(one.get("type")): one for one in found if isinstance(one, dict)}
