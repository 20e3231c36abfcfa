"""HTTP rules of one VirtualService as Envoy routes, and the route of a service without any rule."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import Route, RouteMatch

from artemon.model.resource import Resource
from artemon.model.virtual_service import (
    HTTPMatchRequest,
    HTTPRoute,
    VirtualService,
)
from artemon.translate import names
from artemon.translate.filters.http import says_http
from artemon.translate.routes.action import (
    Forward,
    Share,
    direct_response,
    forward_action,
    forward_of,
    redirect_action,
)
from artemon.translate.routes.filters import cors, fault
from artemon.translate.routes.headers import write_headers
from artemon.translate.routes.match import is_catch_all, route_match
from artemon.translate.routes.scope import Client, Targets
from artemon.translate.wire import packed, struct


def http_routes(resource: Resource[VirtualService], client: Client, targets: Targets) -> list[Route]:
    """The routes that a VirtualService gives `client`, in order, up to the first that takes everything.

    A rule that comes to nothing (a redirect with a status that redirects nowhere) is left out: Envoy would
    refuse the whole configuration for it."""
    out: list[Route] = []
    for rule in resource.spec.http:
        for match in rule.match or (None,):
            if match is not None and not client.meets(
                port=match.port,
                gateways=match.gateways,
                labels=match.source_labels,
                namespace=match.source_namespace,
            ):
                continue
            route = _route(resource, rule, match, client=client, targets=targets)
            if route.WhichOneof("action") is None:
                continue
            out.append(route)
            if is_catch_all(route.match):
                return out
    return out


def default_route(host: str, client: Client, targets: Targets) -> Route:
    """All requests for a service, on the port they came for."""
    share = Share(
        cluster=names.outbound_cluster(host, client.port),
        hashing=targets.default_hashing(host, client.port),
        sniffed=targets.is_sniffed(host, client.port),
    )
    out = Route(
        name=names.DEFAULT_ROUTE,
        match=RouteMatch(prefix="/"),
        route=forward_action(Forward(shares=(share,), retries=targets.retries)),
    )
    out.decorator.operation = names.service_stat_name(host, client.port)
    if share.sniffed:
        says_http(out)
    return out


def _route(
    resource: Resource[VirtualService],
    rule: HTTPRoute,
    match: HTTPMatchRequest | None,
    *,
    client: Client,
    targets: Targets,
) -> Route:
    out = Route(name=names.route_name(rule.name, match.name if match else ""), match=route_match(match))
    out.stat_prefix = match.stat_prefix if match else ""
    source = names.config_path("virtual-service", resource.meta.namespace, resource.meta.name)
    out.metadata.filter_metadata["istio"].CopyFrom(struct({"config": source}))
    _act(out, rule, client, targets)
    out.decorator.operation = _operation(resource, rule, out.match, client=client, targets=targets)
    write_headers(out, rule.headers)
    if len(rule.route) == 1:
        write_headers(out, rule.route[0].headers)
    if rule.fault is not None:
        out.typed_per_filter_config["envoy.filters.http.fault"].CopyFrom(packed(fault(rule.fault)))
    if rule.cors_policy is not None:
        out.typed_per_filter_config["envoy.filters.http.cors"].CopyFrom(packed(cors(rule.cors_policy)))
    return out


def _act(out: Route, rule: HTTPRoute, client: Client, targets: Targets) -> None:
    if rule.redirect is not None:
        redirect = redirect_action(rule.redirect, client)
        if redirect is not None:
            out.redirect.CopyFrom(redirect)
    elif rule.direct_response is not None:
        out.direct_response.CopyFrom(direct_response(rule.direct_response))
    elif rule.route:
        forward = forward_of(rule, client, targets)
        if forward.shares:
            out.route.CopyFrom(forward_action(forward))
            if forward.is_sniffed:
                says_http(out)


def _operation(
    resource: Resource[VirtualService],
    rule: HTTPRoute,
    match: RouteMatch,
    *,
    client: Client,
    targets: Targets,
) -> str:
    """What the work is called in traces: by the only destination, else by the VirtualService."""
    path = match.path or match.safe_regex.regex or f"{match.prefix}*"
    target = rule.route[0].destination if len(rule.route) == 1 else None
    if target is not None:
        return f"{target.host}:{targets.port(target, client.port)}{path}"
    return f"{resource.meta.name}:{client.port}{path}"
