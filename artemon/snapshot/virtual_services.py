"""VirtualServices: full names, and who may see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from artemon.model.hosts import resolve
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
        "tls": tuple(_tls(route, host, gateway) for route in spec.tls),
        "tcp": tuple(_tcp(route, host, gateway) for route in spec.tcp),
    }
    return replace(resource, spec=spec.model_copy(update=update))


def _destination(destination: Destination | None, host: Rename) -> Destination | None:
    if destination is None:
        return None
    return destination.model_copy(update={"host": host(destination.host)})


def _routed(many: tuple[Routed, ...], host: Rename) -> tuple[Routed, ...]:
    return tuple(one.model_copy(update={"destination": _destination(one.destination, host)}) for one in many)


def _matches(many: tuple[Match, ...], gateway: Rename) -> tuple[Match, ...]:
    return tuple(one.model_copy(update={"gateways": tuple(map(gateway, one.gateways))}) for one in many)


def _http(route: HTTPRoute, host: Rename, gateway: Rename) -> HTTPRoute:
    return route.model_copy(
        update={
            "match": _matches(route.match, gateway),
            "route": _routed(route.route, host),
            "mirror": _destination(route.mirror, host),
            "mirrors": _routed(route.mirrors, host),
        }
    )


def _tls(route: TLSRoute, host: Rename, gateway: Rename) -> TLSRoute:
    return route.model_copy(
        update={"match": _matches(route.match, gateway), "route": _routed(route.route, host)}
    )


def _tcp(route: TCPRoute, host: Rename, gateway: Rename) -> TCPRoute:
    return route.model_copy(
        update={"match": _matches(route.match, gateway), "route": _routed(route.route, host)}
    )


def exported_to(resource: Routes, default_export: tuple[str, ...]) -> frozenset[str]:
    """The namespaces that may see it; `*` stands for all."""
    export = resource.spec.export_to or default_export or ("*",)
    return frozenset(resource.meta.namespace if name == "." else name for name in export)


def visible(resource: Routes, namespace: str, default_export: tuple[str, ...]) -> bool:
    """Whether objects and proxies of `namespace` may see it."""
    names = exported_to(resource, default_export)
    return "*" in names or namespace in names


def destination_hosts(resource: Routes) -> frozenset[str]:
    """Every host that its routes send to."""
    spec = resource.spec
    targets = [one.destination for route in spec.http for one in route.route]
    targets += [one.destination for route in spec.tls for one in route.route]
    targets += [one.destination for route in spec.tcp for one in route.route]
    targets += [route.mirror for route in spec.http]
    targets += [one.destination for route in spec.http for one in route.mirrors]
    return frozenset(target.host for target in targets if target is not None)
