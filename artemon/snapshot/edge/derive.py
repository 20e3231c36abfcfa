"""All objects of the edge to Gateways and VirtualServices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from artemon.model.gateway import Gateway
from artemon.model.resource import Resource
from artemon.model.virtual_service import VirtualService
from artemon.snapshot.edge.backends import Backends
from artemon.snapshot.edge.grants import Grants
from artemon.snapshot.edge.grpc import as_http
from artemon.snapshot.edge.ingress import from_ingresses
from artemon.snapshot.edge.known import Known, Objects
from artemon.snapshot.edge.listeners import open_gateways
from artemon.snapshot.edge.routes import from_routes
from artemon.snapshot.edge.said import GatewaySaid, RouteSaid


@dataclass(frozen=True, slots=True)
class Derived:
    """What they come to. ingresses: by `<namespace>/<name>`, what of an Ingress has no effect. said: of
    Gateways and of routes that are ours. grants: who may refer to what of other namespaces."""

    gateways: tuple[Resource[Gateway], ...] = ()
    routes: tuple[Resource[VirtualService], ...] = ()
    ingresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    gateways_said: tuple[GatewaySaid, ...] = ()
    routes_said: tuple[RouteSaid, ...] = ()
    grants: Grants = field(default_factory=Grants)


NOTHING = Derived()


def derive(objects: Objects, known: Known, before: Derived = NOTHING) -> Derived:
    """What they come to. What is equal to what was `before` is the same object."""
    ingress = from_ingresses(objects.ingresses, known)
    grants = Grants(objects.grants)
    opened = open_gateways(objects.gateways, known, grants)
    routed = from_routes([*objects.routes, *map(as_http, objects.calls)], opened, Backends(known, grants))
    made = [one.made for each in opened.values() for one in each.listeners if one.made]
    return Derived(
        gateways=_kept([*ingress.gateways, *made], before.gateways),
        routes=_kept([*ingress.routes, *routed.routes], before.routes),
        ingresses=ingress.problems,
        gateways_said=tuple(one.said for one in opened.values()),
        routes_said=tuple(routed.said),
        grants=grants,
    )


def _kept(new: Sequence[Resource[Any]], old: Sequence[Resource[Any]]) -> tuple[Resource[Any], ...]:
    """`new`, with the same objects as `old` where they are equal."""
    by_name = {one.ref: one for one in old}
    pairs = ((one, by_name.get(one.ref)) for one in new)
    found = tuple(was if was is not None and was == one else one for one, was in pairs)
    same = len(found) == len(old) and all(one is was for one, was in zip(found, old, strict=True))
    return tuple(old) if same else found
