"""Virtual addresses of ServiceEntries, given when they are written and kept in their status, as in Istio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from artemon.model.auto_addresses import Owner, claimed, numbers
from artemon.model.kinds import SERVICE_ENTRY
from artemon.model.resource import Resource
from artemon.model.tolerant import decode_tolerantly
from galleyd.edits import Plan
from galleyd.objects import Object, Stored, meta_of, with_status

Step = Callable[[Sequence[Plan]], Sequence[Plan]]


@dataclass(frozen=True, slots=True)
class InTurn:
    """Several looks at plans, one after another."""

    steps: tuple[Step, ...]

    def __call__(self, plans: Sequence[Plan]) -> Sequence[Plan]:
        """The plans after all of them."""
        for step in self.steps:
            plans = step(plans)
        return plans


@dataclass(frozen=True, slots=True)
class Addresses:
    """Gives the hosts of ServiceEntries that are written their addresses. stock: all ServiceEntries as they
    were last seen. Two galleyds may give one address at once: pilotd then lets the older entry have it."""

    stock: Callable[[], Sequence[Stored]]

    def __call__(self, plans: Sequence[Plan]) -> list[Plan]:
        """The plans, with statuses."""
        if not any(_writes(plan) for plan in plans):
            return list(plans)
        written = {
            _key(plan.outcome.stored.object) for plan in plans if plan.outcome.ref.kind is SERVICE_ENTRY
        }
        others = (one.object for one in self.stock() if _key(one.object) not in written)
        taken: dict[int, Owner] = {}
        for obj in others:
            taken |= dict(_numbers(obj))
        return [_addressed(plan, taken) if _writes(plan) else plan for plan in plans]


def _writes(plan: Plan) -> bool:
    return plan.outcome.ref.kind is SERVICE_ENTRY and plan.write is not None and plan.write.after is not None


def _addressed(plan: Plan, taken: dict[int, Owner]) -> Plan:
    obj = plan.outcome.stored.object
    entry: Resource[Any] | None = decode_tolerantly(obj).resource
    if plan.write is None or entry is None:
        return plan
    given = claimed(entry, taken)
    rest = {name: value for name, value in _status(obj).items() if name != "addresses"}
    after = with_status(obj, {**rest, **({"addresses": given} if given else {})})
    stored = replace(plan.outcome.stored, object=after)
    return replace(plan, write=replace(plan.write, after=after), outcome=replace(plan.outcome, stored=stored))


def _numbers(obj: Object) -> list[tuple[int, Owner]]:
    return list(numbers(str(meta_of(obj).get("namespace")), _status(obj)))


def _status(obj: Object) -> Mapping[str, Any]:
    status = obj.get("status")
    return status if isinstance(status, Mapping) else {}


def _key(obj: Object) -> str:
    meta = meta_of(obj)
    return f"{meta.get('namespace')}/{meta.get('name')}"
