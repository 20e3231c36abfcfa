"""Rules of VirtualServices as gRPC follows them (gRFC A28, A31, A42, A44).

Followed: path, method header and other header matches; weights; timeout; retries by status; faults; hashing
by header and by channel. Header operations, rewrites, mirrors and CORS mean nothing to gRPC and are left out.
A route that redirects or answers by itself fails the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.model.service import Port, Service
from artemon.translate import names
from artemon.translate.routes.hosts import first_routes
from artemon.translate.routes.http import default_route
from artemon.translate.routes.rules import Rule
from artemon.translate.routes.scope import Client, Targets

FAULT = "envoy.filters.http.fault"
CHANNEL = "io.grpc.channel_id"
"""The attribute by which a gRPC client sticks to an instance for as long as its channel lives."""


def route_configuration(
    service: Service, port: Port, rules: Iterable[Rule], client: Client, targets: Targets
) -> RouteConfiguration:
    """The routes of one service port, under the name of its cluster; whatever name the client used."""
    found = first_routes(rules, client, targets) or [default_route(service.host, client, targets)]
    routes = [each for route in found for each in grpc_routes(route)]
    host = VirtualHost(name=names.virtual_host(service.host, port.number), domains=["*"], routes=routes)
    return RouteConfiguration(name=names.outbound_cluster(service.host, port.number), virtual_hosts=[host])


def grpc_routes(route: Route) -> Iterator[Route]:
    """The routes that say to gRPC what `route` says to Envoy. None where it asks for a query parameter, which
    no gRPC call has; several where a header may be absent or have another value."""
    if route.match.query_parameters:
        return
    for headers in product(*map(_alternatives, route.match.headers)):
        out = Route(name=route.name, match=_match(route.match, headers))
        if route.WhichOneof("action") == "route":
            out.route.CopyFrom(_action(route.route))
        else:
            out.direct_response.status = 503
        if FAULT in route.typed_per_filter_config:
            out.typed_per_filter_config[FAULT].CopyFrom(route.typed_per_filter_config[FAULT])
        yield out


def _alternatives(wanted: HeaderMatcher) -> tuple[HeaderMatcher, ...]:
    """gRPC never matches the value of a header that is absent, inverted or not."""
    if not wanted.treat_missing_header_as_empty:
        return (wanted,)
    other = HeaderMatcher(name=wanted.name, string_match=wanted.string_match, invert_match=True)
    return (HeaderMatcher(name=wanted.name, present_match=True, invert_match=True), other)


def _match(match: RouteMatch, headers: Iterable[HeaderMatcher]) -> RouteMatch:
    out = RouteMatch()
    out.CopyFrom(match)
    del out.headers[:]
    out.headers.extend(headers)
    return out


def _action(action: RouteAction) -> RouteAction:
    out = RouteAction()
    if action.timeout.ToNanoseconds():
        out.max_stream_duration.max_stream_duration.CopyFrom(action.timeout)
    if action.HasField("weighted_clusters"):
        out.weighted_clusters.clusters.extend(
            WeightedCluster.ClusterWeight(name=one.name, weight=one.weight)
            for one in action.weighted_clusters.clusters
        )
    else:
        out.cluster = action.cluster
    if action.HasField("retry_policy"):
        policy = action.retry_policy
        out.retry_policy.retry_on = policy.retry_on
        out.retry_policy.num_retries.CopyFrom(policy.num_retries)
        if policy.HasField("retry_back_off"):
            out.retry_policy.retry_back_off.CopyFrom(policy.retry_back_off)
    out.hash_policy.extend(_hash(one) for one in action.hash_policy)
    return out


def _hash(policy: RouteAction.HashPolicy) -> RouteAction.HashPolicy:
    """The client's address is that of its channel."""
    if policy.connection_properties.source_ip:
        return RouteAction.HashPolicy(filter_state=RouteAction.HashPolicy.FilterState(key=CHANNEL))
    return policy
