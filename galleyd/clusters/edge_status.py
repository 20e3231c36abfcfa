"""What the status of objects of the edge says: Ingress, and Gateway API's GEP-1364 conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from artemon.model.gateway_api import GROUP
from artemon.snapshot.edge.said import CONTROLLER, Condition, Conditions, GatewaySaid, RouteSaid
from galleyd.clusters.conditions import MAX_MESSAGE
from galleyd.objects import Object, meta_of

Json = dict[str, Any]


def addresses_of(service: Mapping[str, Any] | None) -> list[Json]:
    """Where a Service of type LoadBalancer is reached: `ip` or `hostname`, each."""
    status = (service or {}).get("status")
    balancer = status.get("loadBalancer") if isinstance(status, dict) else None
    found = balancer.get("ingress") if isinstance(balancer, dict) else None
    listed = [one for one in found or () if isinstance(one, dict)]
    return [{key: one[key] for key in ("ip", "hostname") if one.get(key)} for one in listed if one]


def ingress_status(addresses: Sequence[Json]) -> Json:
    """Of an Ingress."""
    return {"loadBalancer": {"ingress": list(addresses)}}


def class_status(obj: Object, now: str) -> Json:
    """Of a GatewayClass of ours."""
    accepted = {"Accepted": Condition("Accepted", True, "Accepted")}
    return {"conditions": _listed(accepted, _part(obj, "conditions"), obj, now)}


def gateway_status(said: GatewaySaid, obj: Object, addresses: Sequence[Json], now: str) -> Json:
    """Of a Gateway."""
    before = {str(one.get("name")): one for one in _part(obj, "listeners")}
    listeners = [
        {
            "name": one.name,
            "supportedKinds": [{"group": GROUP, "kind": kind} for kind in one.kinds],
            "attachedRoutes": one.attached,
            "conditions": _listed(one.conditions, before.get(one.name, {}).get("conditions"), obj, now),
        }
        for one in said.listeners
    ]
    at = [{"type": "IPAddress", "value": one["ip"]} for one in addresses if "ip" in one]
    at += [{"type": "Hostname", "value": one["hostname"]} for one in addresses if "hostname" in one]
    conditions = _listed(said.conditions, _part(obj, "conditions"), obj, now)
    return {"addresses": at, "conditions": conditions, "listeners": listeners}


def route_status(said: RouteSaid, obj: Object, now: str) -> Json:
    """Of a route: what other controllers said of their parents stays."""
    before = _part(obj, "parents")
    parents = [one for one in before if one.get("controllerName") != CONTROLLER]
    refs = (obj.get("spec") or {}).get("parentRefs") or []
    for index, conditions in said.parents.items():
        ref = refs[index]
        was = next(
            (
                one.get("conditions")
                for one in before
                if one.get("parentRef") == ref and one.get("controllerName") == CONTROLLER
            ),
            None,
        )
        listed = _listed(conditions, was, obj, now)
        parents.append({"parentRef": ref, "controllerName": CONTROLLER, "conditions": listed})
    return {"parents": parents}


def same_status(before: Any, after: Mapping[str, Any]) -> bool:
    """Whether a status says what the one before said."""
    return isinstance(before, dict) and all(
        (before.get(key) or None) == (after[key] or None) for key in after
    )


def _part(obj: Object, name: str) -> list[Json]:
    status = obj.get("status")
    found = status.get(name) if isinstance(status, dict) else None
    return [one for one in found or () if isinstance(one, dict)] if isinstance(found, list) else []


def _listed(conditions: Conditions, before: Iterable[Any] | None, obj: Object, now: str) -> list[Json]:
    known = {one.get("type"): one for one in before or () if isinstance(one, dict)}
    generation = meta_of(obj).get("generation") or 0
    listed = []
    for one in conditions.values():
        state, was = "True" if one.holds else "False", known.get(one.type, {})
        since = was.get("lastTransitionTime") if was.get("status") == state else None
        listed.append(
            {
                "type": one.type,
                "status": state,
                "reason": one.reason,
                "message": one.message[:MAX_MESSAGE],
                "observedGeneration": generation,
                "lastTransitionTime": since or now,
            }
        )
    return listed
