"""VirtualServices: full names, and who may see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import is_
from typing import Any, TypeVar

from artemon.model.hosts import resolve
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.virtual_service import (
    Destination,
    HTTPMatchRequest,
    HTTPMirrorPolicy,
    HTTPRoute,
    HTTPRouteDestination,
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)

Routes = Resource[VirtualService]
Rename = Callable[[str], str]

MESH_GATEWAY = "mesh"

Routed = TypeVar("Routed", HTTPRouteDestination, HTTPMirrorPolicy, RouteDestination)
Match = TypeVar("Match", HTTPMatchRequest, TLSMatchAttributes, L4MatchAttributes)
Unopened = TypeVar("Unopened", TLSRoute, TCPRoute)
M = TypeVar("M", bound=Message)


def full_names(resource: Routes, domain: str) -> Routes:
    """The same with hosts and destinations as full names, and gateways as `<namespace>/<name>` or `mesh`.
    A VirtualService with hosts and no gateways is for the mesh."""
    namespace = resource.meta.namespace

    def host(name: str) -> str:
        return resolve(name, namespace, domain=domain)

    def gateway(name: str) -> str:
        return name if name == MESH_GATEWAY or "/" in name else f"{namespace}/{name}"

    spec = resource.spec
    gateways = tuple(gateway(name) for name in spec.gateways)
    update = {
        "hosts": tuple(host(name) for name in spec.hosts),
        "gateways": gateways or ((MESH_GATEWAY,) if spec.hosts else ()),
        "http": tuple(_http(route, host, gateway) for route in spec.http),
        "tls": tuple(_opened(route, host, gateway) for route in spec.tls),
        "tcp": tuple(_opened(route, host, gateway) for route in spec.tcp),
    }
    return replace(resource, spec=spec.model_copy(update=update))


def _with(one: M, **fields: Any) -> M:
    """`one` with these values; the same object when it has them."""
    news = {name: value for name, value in fields.items() if getattr(one, name) != value}
    return one.model_copy(update=news) if news else one


def _destination(destination: Destination | None, host: Rename) -> Destination | None:
    return None if destination is None else _with(destination, host=host(destination.host))


def _routed(many: tuple[Routed, ...], host: Rename) -> tuple[Routed, ...]:
    found = tuple(_renamed(one, host) for one in many)
    return many if all(map(is_, found, many)) else found


def _renamed(one: Routed, host: Rename) -> Routed:
    destination = _destination(one.destination, host)
    return one if destination is one.destination else one.model_copy(update={"destination": destination})


def _matches(many: tuple[Match, ...], gateway: Rename) -> tuple[Match, ...]:
    found = tuple(_with(one, gateways=tuple(map(gateway, one.gateways))) for one in many)
    return many if all(map(is_, found, many)) else found


def _http(route: HTTPRoute, host: Rename, gateway: Rename) -> HTTPRoute:
    names = {
        "match": _matches(route.match, gateway),
        "route": _routed(route.route, host),
        "mirror": _destination(route.mirror, host),
        "mirrors": _routed(route.mirrors, host),
    }
    same = all(getattr(route, name) is value for name, value in names.items())
    return route if same else route.model_copy(update=names)


def _opened(route: Unopened, host: Rename, gateway: Rename) -> Unopened:
    match, targets = _matches(route.match, gateway), _routed(route.route, host)
    same = match is route.match and targets is route.route
    return route if same else route.model_copy(update={"match": match, "route": targets})


def visible(resource: Routes, namespace: str, default_export: tuple[str, ...]) -> bool:
    """Whether objects and proxies of `namespace` may see it."""
    export = resource.spec.export_to or default_export
    own = namespace == resource.meta.namespace
    return not export or "*" in export or namespace in export or (own and "." in export)


def destination_hosts(resource: Routes) -> frozenset[str]:
    """Every host that its routes send to."""
    spec = resource.spec
    targets = [one.destination for route in spec.http for one in route.route]
    targets += [one.destination for route in spec.tls for one in route.route]
    targets += [one.destination for route in spec.tcp for one in route.route]
    targets += [route.mirror for route in spec.http]
    targets += [one.destination for route in spec.http for one in route.mirrors]
    return frozenset(target.host for target in targets if target is not None)
