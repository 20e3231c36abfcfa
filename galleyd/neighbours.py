"""What one object means for others: Gateways that want the same port or host. Warnings, never refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from artemon.errors import Problem
from artemon.model.gateway import Gateway
from artemon.model.kinds import GATEWAY
from artemon.model.resource import Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.snapshot.gateway_conflicts import conflicts, oldest_first, same_proxies, told
from galleyd.edits import Plan
from galleyd.objects import Object, Stored

Stock = Callable[[], Sequence[Stored]]
"""All Gateways as they were last seen in the registry."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Adds to plans what they mean for others."""

    gateways: Stock

    def __call__(self, plans: Sequence[Plan]) -> list[Plan]:
        """The plans, with warnings about contention."""
        ours = {
            _key(plan.outcome.stored.object): plan.outcome.stored.object
            for plan in plans
            if plan.outcome.ref.kind is GATEWAY and plan.outcome.result != "deleted"
        }
        if not ours:
            return list(plans)
        gone = {
            _key(plan.outcome.stored.object)
            for plan in plans
            if plan.outcome.ref.kind is GATEWAY and plan.outcome.result == "deleted"
        }
        stock = {_key(stored.object): stored.object for stored in self.gateways()}
        whole = {key: obj for key, obj in {**stock, **ours}.items() if key not in gone}
        decoded = {key: one for key, obj in whole.items() if (one := _gateway(obj)) is not None}
        return [self._warned(plan, decoded) for plan in plans]

    @staticmethod
    def _warned(plan: Plan, decoded: dict[str, Resource[Gateway]]) -> Plan:
        mine = decoded.get(_key(plan.outcome.stored.object))
        if plan.outcome.ref.kind is not GATEWAY or mine is None:
            return plan
        near = oldest_first(one for one in decoded.values() if same_proxies(one.spec, mine.spec))
        name = f"{mine.meta.namespace}/{mine.meta.name}"
        found = []
        for conflict, port in conflicts(near).items():
            if conflict.gateway == name:
                path = f"spec.servers[{conflict.index}]"
                found.append(Problem(path, told(conflict, port), "warning"))
            elif conflict.holder == name:
                what = f"takes port {port}" + (f" host {conflict.host}" if conflict.host else "")
                text = f"{what} from Gateway {conflict.gateway}, which is younger"
                found.append(Problem("spec.servers", text, "warning"))
        outcome = plan.outcome
        return replace(plan, outcome=replace(outcome, warnings=(*outcome.warnings, *dict.fromkeys(found))))


def _key(obj: Object) -> str:
    meta = obj["metadata"]
    return f"{meta.get('namespace')}/{meta.get('name')}"


def _gateway(obj: Object) -> Resource[Any] | None:
    return decode_tolerantly(obj).resource
