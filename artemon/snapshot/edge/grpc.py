"""GRPCRoutes in HTTPRoutes' words: a call is a request for `/<service>/<method>`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from artemon.model.gateway_routes import (
    HTTPBackendRef,
    HTTPPathMatch,
    HTTPRoute,
    HTTPRouteFilter,
    HTTPRouteMatch,
    HTTPRouteRule,
)
from artemon.model.grpc_routes import GRPCMethodMatch, GRPCRouteFilter, GRPCRouteMatch, GRPCRouteRule
from artemon.model.resource import Resource

UNAVAILABLE: Final = 503
"""What Envoy tells clients of gRPC as UNAVAILABLE: the status of calls that cannot be sent on."""
_ANY: Final = "[^/]+"


def as_http(route: Resource[Any]) -> Resource[Any]:
    """The route, of its own kind, with the spec of an HTTPRoute."""
    spec = route.spec
    made = HTTPRoute(
        parent_refs=spec.parent_refs,
        hostnames=spec.hostnames,
        rules=tuple(rule_as_http(rule) for rule in spec.rules),
    )
    return replace(route, spec=made)


def rule_as_http(rule: GRPCRouteRule) -> HTTPRouteRule:
    """One rule."""
    return HTTPRouteRule(
        name=rule.name,
        matches=tuple(map(_match, rule.matches)),
        filters=_filters(rule.filters),
        backend_refs=tuple(
            HTTPBackendRef(
                group=one.group,
                kind=one.kind,
                name=one.name,
                namespace=one.namespace,
                port=one.port,
                weight=one.weight,
                filters=_filters(one.filters),
            )
            for one in rule.backend_refs
        ),
    )


def rank(match: HTTPRouteMatch) -> tuple[int, int, int, int, int]:
    """As `Ruled` has it (GRPCRouteRule `matches`: longer services, longer methods, more headers); a regular
    expression comes after a service, and before a method of any service."""
    headers = -len({one.name.lower() for one in match.headers})
    if match.path is None:
        return 4, 0, 0, headers, 0
    value = match.path.value
    if match.path.type == "RegularExpression":
        return (3 if value.startswith(f"/{_ANY}/") else 2), -len(value), 0, headers, 0
    service, _, method = value.strip("/").partition("/")
    return (0 if method else 1), -len(service), -len(method), headers, 0


def _match(match: GRPCRouteMatch) -> HTTPRouteMatch:
    return HTTPRouteMatch(path=_path(match.method) if match.method else None, headers=match.headers)


def _path(asked: GRPCMethodMatch) -> HTTPPathMatch | None:
    service, method = asked.service, asked.method
    if not service and not method:
        return None
    if asked.type == "RegularExpression":
        return HTTPPathMatch(type="RegularExpression", value=f"/{service or _ANY}/{method or _ANY}")
    if service and method:
        return HTTPPathMatch(type="Exact", value=f"/{service}/{method}")
    if service:
        return HTTPPathMatch(type="PathPrefix", value=f"/{service}")
    return HTTPPathMatch(type="RegularExpression", value=f"/{_ANY}/{method}")


def _filters(many: Iterable[GRPCRouteFilter]) -> tuple[HTTPRouteFilter, ...]:
    return tuple(
        HTTPRouteFilter(
            type=one.type,
            request_header_modifier=one.request_header_modifier,
            response_header_modifier=one.response_header_modifier,
            request_mirror=one.request_mirror,
            extension_ref=one.extension_ref,
        )
        for one in many
    )
