"""Which listeners a route attaches to, with which hosts, and why it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from artemon.model.gateway_routes import ParentReference
from artemon.model.hosts import covers
from artemon.model.resource import Resource
from artemon.snapshot.edge.known import Known, selected
from artemon.snapshot.edge.listeners import Open, Opened
from artemon.snapshot.edge.said import Condition


@dataclass(frozen=True, slots=True)
class Attached:
    """A listener of which a route has hosts."""

    to: Open
    hosts: tuple[str, ...]


def attach(
    route: Resource[Any], parent: ParentReference, gateways: Mapping[str, Opened], known: Known
) -> tuple[list[Attached], Condition] | None:
    """The listeners, and whether the route is accepted; None where the parent is no Gateway of this mesh."""
    opened = gateways.get(f"{parent.namespace or route.meta.namespace}/{parent.name}")
    if opened is None:
        return None
    named = [
        one
        for one in opened.listeners
        if parent.section_name in ("", one.listener.name) and parent.port in (0, one.listener.port)
    ]
    if not named:
        return [], _refused("NoMatchingParent", "the Gateway has no such listener")
    allowed = [one for one in named if route.kind.name in one.said.kinds and _may(route, one, known)]
    if not allowed:
        text = f"allowedRoutes: not for {route.kind.name} of namespace {route.meta.namespace}"
        return [], _refused("NotAllowedByListeners", text)
    found = [Attached(one, hosts_of(one.listener.hostname, route.spec.hostnames)) for one in allowed]
    found = [one for one in found if one.hosts]
    if not found:
        text = f"no listener has any of {', '.join(route.spec.hostnames)}"
        return [], _refused("NoMatchingListenerHostname", text)
    return found, Condition("Accepted", True, "Accepted")


def _refused(reason: str, message: str) -> Condition:
    return Condition("Accepted", False, reason, message)


def _may(route: Resource[Any], one: Open, known: Known) -> bool:
    routes = one.listener.allowed_routes
    namespaces = routes.namespaces if routes else None
    match namespaces.from_ if namespaces else "Same":
        case "All":
            return True
        case "Same":
            return route.meta.namespace == one.gateway.meta.namespace
        case "Selector":
            selector = namespaces.selector if namespaces else None
            return selector is not None and selected(selector, known.namespace_labels(route))
        case _:
            return False


def hosts_of(listener: str, route: Iterable[str]) -> tuple[str, ...]:
    """The hosts that both mean: of two that overlap the narrower one; without any, all of the other's."""
    pattern = listener.lower() or "*"
    asked = [host.lower() for host in route] or [pattern]
    both = (host if covers(pattern, host) else pattern if covers(host, pattern) else "" for host in asked)
    return tuple(dict.fromkeys(filter(None, both)))
