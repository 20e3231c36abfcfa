"""HTTPRoutes to VirtualServices: the rules of all that have a host of a listener, in the order in which
Gateway API tries them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from artemon.model.gateway_routes import ParentReference
from artemon.model.hosts import service_host
from artemon.model.resource import Resource
from artemon.model.virtual_service import HTTPMatchRequest, HTTPRoute, VirtualService
from artemon.snapshot.edge.attach import attach
from artemon.snapshot.edge.backends import Backends
from artemon.snapshot.edge.known import Known, made_routes
from artemon.snapshot.edge.listeners import Opened
from artemon.snapshot.edge.rules import Rank, Ruled, translate
from artemon.snapshot.edge.said import Condition, RouteSaid, conditions
from artemon.snapshot.virtual_services import MESH_GATEWAY


@dataclass(frozen=True, slots=True)
class _Place:
    """Where routes are put together. gateway: as VirtualServices name it."""

    namespace: str
    gateway: str
    host: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One match of one rule, at one place. order: age, name and place in the route."""

    rank: Rank
    order: tuple[str, str, int]
    of: Resource[Any]
    routes: tuple[HTTPRoute, ...]


@dataclass(slots=True)
class Routed:
    """What routes come to."""

    routes: list[Resource[VirtualService]] = field(default_factory=list)
    said: list[RouteSaid] = field(default_factory=list)


def from_routes(
    routes: Iterable[Resource[Any]], gateways: Mapping[str, Opened], backends: Backends
) -> Routed:
    """What HTTPRoutes come to; listeners are told how many have them."""
    found, places = Routed(), dict[_Place, list[_Entry]]()
    for route in routes:
        said, at = _placed(route, gateways, backends.known)
        if not said.parents:
            continue
        made = translate(route, backends)
        resolved = Condition("ResolvedRefs", True, "ResolvedRefs")
        for index, known in said.parents.items():
            said.parents[index] = conditions(*known.values(), *made.problems, resolved)
        found.said.append(said)
        for place, port in dict.fromkeys(at):
            places.setdefault(place, []).extend(_entries(route, made.ruled, port))
    found.routes = [_virtual_service(place, many) for place, many in sorted(places.items(), key=_by_place)]
    return found


def _by_place(item: tuple[_Place, Any]) -> tuple[str, str, str]:
    return item[0].namespace, item[0].gateway, item[0].host


def _placed(
    route: Resource[Any], gateways: Mapping[str, Opened], known: Known
) -> tuple[RouteSaid, list[tuple[_Place, int]]]:
    """Where a route is in force, at which port of it (0: all), and what is said of each parent."""
    said, at = RouteSaid(route), []
    listeners = {}
    for index, parent in enumerate(route.spec.parent_refs):
        if (parent.group, parent.kind) in {("", "Service"), ("core", "Service")}:
            condition, place = _of_service(route, parent, known)
            said.parents[index] = conditions(condition)
            at += [(place, parent.port)] if place else []
            continue
        found = attach(route, parent, gateways, known) if parent.kind == "Gateway" else None
        if found is None:
            continue
        attached, condition = found
        said.parents[index] = conditions(condition)
        for one in attached:
            listeners[one.to.name] = one.to
            if one.to.made:
                at += [(_Place(one.to.gateway.meta.namespace, one.to.name, host), 0) for host in one.hosts]
    for listener in listeners.values():
        listener.said.attached += 1
    return said, at


def _of_service(
    route: Resource[Any], parent: ParentReference, known: Known
) -> tuple[Condition, _Place | None]:
    """For the clients of a Service (GAMMA): all of them where the route is in its namespace, else those of
    the route's."""
    there = parent.namespace or route.meta.namespace
    host = service_host(parent.name, there, known.domain)
    service = known.service(host)
    if service is None or (parent.port and parent.port not in {one.number for one in service.ports}):
        text = f"there is no service {host}" + (f" with port {parent.port}" if service else "")
        return Condition("Accepted", False, "NoMatchingParent", text), None
    return Condition("Accepted", True, "Accepted"), _Place(route.meta.namespace, MESH_GATEWAY, host)


def _entries(route: Resource[Any], ruled: Sequence[Ruled], port: int) -> Iterator[_Entry]:
    meta = route.meta
    for index, one in enumerate(ruled):
        routes = tuple(_at_port(each, port) for each in one.routes) if port else one.routes
        yield _Entry(one.rank, (meta.created, f"{meta.namespace}/{meta.name}", index), route, routes)


def _at_port(route: HTTPRoute, port: int) -> HTTPRoute:
    asked = route.match or (HTTPMatchRequest(),)
    return route.model_copy(update={"match": tuple(one.model_copy(update={"port": port}) for one in asked)})


def _virtual_service(place: _Place, entries: list[_Entry]) -> Resource[VirtualService]:
    ordered = sorted(entries, key=lambda one: (one.rank, one.order))
    oldest = min(entries, key=lambda one: one.order).of
    mesh = place.gateway == MESH_GATEWAY
    own = mesh and f".{place.namespace}.svc." not in place.host
    spec = VirtualService(
        hosts=(place.host,),
        gateways=(place.gateway,),
        http=tuple(route for one in ordered for route in one.routes),
        export_to=(".",) if own else ("*",),
    )
    mark = sha256(f"{place.gateway} {place.host}".encode()).hexdigest()[:12]
    return made_routes(f"istio-autogenerated-k8s-routes-{mark}", place.namespace, spec, oldest)
