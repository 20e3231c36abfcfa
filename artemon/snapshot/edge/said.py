"""What is said of objects of Gateway API: their conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from artemon.model.resource import Resource

CONTROLLER = "istio.io/gateway-controller"
"""The controller's name, as GatewayClasses name it: Istio's, so that its classes work as they are."""
CLASS = "istio"
"""The class that needs no GatewayClass."""
SERVED = ("HTTPRoute", "GRPCRoute")
"""Kinds of routes of a listener, where it names none."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition (gateway.networking.k8s.io/v1 `metav1.Condition`), without its time."""

    type: str
    holds: bool
    reason: str
    message: str = ""


Conditions = dict[str, Condition]
"""By type."""


def conditions(*many: Condition) -> Conditions:
    """By type; of several of one type the first that does not hold."""
    found: Conditions = {}
    for one in many:
        if one.type not in found or (found[one.type].holds and not one.holds):
            found[one.type] = one
    return found


@dataclass(slots=True)
class ListenerSaid:
    """Of a listener. attached: how many routes have it."""

    name: str
    conditions: Conditions
    attached: int = 0
    kinds: tuple[str, ...] = SERVED


@dataclass(slots=True)
class GatewaySaid:
    """Of a Gateway."""

    of: Resource[Any]
    conditions: Conditions = field(default_factory=dict)
    listeners: list[ListenerSaid] = field(default_factory=list)


@dataclass(slots=True)
class RouteSaid:
    """Of a route: by the index of each parentRef that is ours."""

    of: Resource[Any]
    parents: dict[int, Conditions] = field(default_factory=dict)
