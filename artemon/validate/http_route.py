"""Rules of one HTTP route."""

from __future__ import annotations

from collections.abc import Sequence

from artemon.model.message import wire_name
from artemon.model.virtual_service import (
    Destination,
    Headers,
    HTTPMirrorPolicy,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
    Percent,
)
from artemon.model.words import path_of
from artemon.validate import http_actions as actions
from artemon.validate.amounts import duration, percent, port_selector, weights
from artemon.validate.findings import Problems, error, warning, wrong
from artemon.validate.hosts import label, wildcard_domain
from artemon.validate.http_match import http_match
from artemon.validate.texts import header_value, is_authority, settable_header


def http_route(route: HTTPRoute, path: str, *, delegate: bool, claims: bool, converted: bool) -> Problems:
    """What is wrong with one route.

    delegate: it is in a VirtualService without hosts. claims: it is on a gateway. converted: it was made
    from Gateway API, whose backends are not host names.
    """
    yield from _conflicts(route, path, delegate=delegate)
    for index, match in enumerate(route.match):
        yield from http_match(match, f"{path}.match[{index}]", claims=claims)
    yield from headers(route.headers, f"{path}.headers")
    yield from _authority_once(route.rewrite, route.headers, path)
    yield from actions.cors(route.cors_policy, f"{path}.corsPolicy")
    yield from actions.fault(route.fault, f"{path}.fault")
    yield from _mirrors(route, path)
    yield from actions.redirect(route.redirect, f"{path}.redirect", matches=route.match)
    yield from actions.direct_response(route.direct_response, f"{path}.directResponse")
    yield from actions.retries(route.retries, f"{path}.retries")
    yield from actions.rewrite(route.rewrite, f"{path}.rewrite")
    yield from _destinations(route.route, f"{path}.route", converted=converted)
    yield from duration(route.timeout, f"{path}.timeout")


def _conflicts(route: HTTPRoute, path: str, *, delegate: bool) -> Problems:
    """Only one thing can be done with a request."""
    if route.delegate is not None and not delegate:
        for name in ("redirect", "route"):
            if getattr(route, name):
                yield error(f"{path}.{name}", "must not be set together with delegate")
        if not route.delegate.name:
            yield warning(f"{path}.delegate.name", "is empty: no VirtualService has these requests")
        return
    if route.delegate is not None:
        yield error(
            f"{path}.delegate", "must not be set in a VirtualService without hosts: delegates end here"
        )
    action = next(
        (name for name in ("redirect", "direct_response") if getattr(route, name) is not None), None
    )
    if action is not None:
        for name in ("route", "fault", "rewrite", "direct_response"):
            if name != action and getattr(route, name):
                yield error(f"{path}.{wire_name(name)}", f"must not be set together with {wire_name(action)}")
    elif not route.route:
        yield error(path, "must have one of route, redirect, directResponse and delegate")
    if route.mirror is not None and route.mirrors:
        yield error(path, "only one of mirror and mirrors may be set")


def _authority_once(rewrite: HTTPRewrite | None, changes: Headers | None, path: str) -> Problems:
    request = changes.request if changes else None
    values = [rewrite.authority] if rewrite and rewrite.authority else []
    for pairs in (request.set_, request.add) if request else ():
        values += [value for name, value in pairs.items() if is_authority(name)]
    if len(values) > 1:
        yield error(path, f"sets the authority more than once: {', '.join(values)}")


def headers(changes: Headers | None, path: str) -> Problems:
    """Changes to the headers of requests and responses."""
    if changes is None:
        return
    for side, operations in (("request", changes.request), ("response", changes.response)):
        if operations is None:
            continue
        for verb, pairs in (("set", operations.set_), ("add", operations.add)):
            for name, value in pairs.items():
                where = path_of((name,), f"{path}.{side}.{verb}")
                yield from wrong(where, settable_header(name, authority=side == "request"))
                yield from wrong(where, header_value(value))
        for index, name in enumerate(operations.remove):
            yield from wrong(f"{path}.{side}.remove[{index}]", settable_header(name, authority=False))


def destination(target: Destination | None, path: str) -> Problems:
    """A host (short, full or with a wildcard, but not all), a subset of it, a port of it."""
    if target is None:
        return
    reason = '"*" is not a destination' if target.host == "*" else wildcard_domain(target.host)
    yield from wrong(f"{path}.host", reason)
    if target.subset:
        yield from wrong(f"{path}.subset", label(target.subset))
    yield from port_selector(target.port, f"{path}.port")


def _destinations(routes: Sequence[HTTPRouteDestination], path: str, *, converted: bool) -> Problems:
    for index, weighted in enumerate(routes):
        where = f"{path}[{index}]"
        yield from headers(weighted.headers, f"{where}.headers")
        if not converted:
            yield from destination(weighted.destination, f"{where}.destination")
    yield from weights([weighted.weight for weighted in routes], path)


def _mirrors(route: HTTPRoute, path: str) -> Problems:
    yield from destination(route.mirror, f"{path}.mirror")
    if route.mirror_percent is not None:
        yield from wrong(f"{path}.mirrorPercent", percent(route.mirror_percent))
        yield warning(f"{path}.mirrorPercent", "is deprecated; use mirrorPercentage")
    yield from _mirrored(route.mirror_percentage, f"{path}.mirrorPercentage")
    for index, mirror in enumerate(route.mirrors):
        yield from _mirror(mirror, f"{path}.mirrors[{index}]")


def _mirror(mirror: HTTPMirrorPolicy, path: str) -> Problems:
    yield from destination(mirror.destination, f"{path}.destination")
    yield from _mirrored(mirror.percentage, f"{path}.percentage")


def _mirrored(value: Percent | None, path: str) -> Problems:
    if value is not None:
        yield from wrong(f"{path}.value", percent(value.value))
