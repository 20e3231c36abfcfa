"""One rule of an HTTPRoute to routes of a VirtualService, with what decides which is tried first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from artemon.model.gateway_routes import HTTPRouteMatch, HTTPRouteRule, HTTPValueMatch
from artemon.model.kinds import GRPC_ROUTE
from artemon.model.resource import Resource
from artemon.model.virtual_service import (
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPFaultInjectionAbort,
    HTTPMatchRequest,
    HTTPRetry,
    HTTPRoute,
    HTTPRouteDestination,
    Percent,
    StringMatch,
)
from artemon.snapshot.edge.backends import Backends
from artemon.snapshot.edge.filters import Filters, Unsupported, filters_of
from artemon.snapshot.edge.grpc import UNAVAILABLE, rank
from artemon.snapshot.edge.paths import below
from artemon.snapshot.edge.said import Condition

EVERYTHING = HTTPRouteMatch()
Rank = tuple[int, int, int, int, int]
_KINDS = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}
DEFAULT_ATTEMPTS = 2
"""Istio's, where only the time of an attempt is said."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """One match of a rule. rank: what is tried first is smallest (HTTPRouteRule `matches`: exact paths,
    longer paths, methods, more headers, more query parameters; age, name and order come after)."""

    rank: Rank
    routes: tuple[HTTPRoute, ...]


@dataclass(slots=True)
class Translated:
    """The rules of a route. problems: conditions that do not hold."""

    ruled: list[Ruled] = field(default_factory=list)
    problems: list[Condition] = field(default_factory=list)


def translate(route: Resource[Any], backends: Backends) -> Translated:
    """All rules of a route. A rule that cannot be done as it is written answers 500; calls of a GRPCRoute get
    UNAVAILABLE."""
    found, calls = Translated(), route.kind is GRPC_ROUTE
    if calls:
        backends = replace(backends, kind=GRPC_ROUTE.name, failing=UNAVAILABLE)
    ranked = rank if calls else _rank
    for index, rule in enumerate(route.spec.rules or (HTTPRouteRule(),)):
        base = _rule(rule, f"rules[{index}]", route.meta.namespace, backends, found.problems)
        for match in rule.matches or (EVERYTHING,):
            found.ruled.append(Ruled(ranked(match), tuple(_matching(match, *base))))
    return found


def _rank(match: HTTPRouteMatch) -> Rank:
    kind, value = ("PathPrefix", "/") if match.path is None else (match.path.type, match.path.value)
    headers, queries = len(_first(match.headers)), len(_first(match.query_params, fold=False))
    return _KINDS[kind], -len(value.rstrip("/") or "/"), 0 if match.method else 1, -headers, -queries


def _rule(
    rule: HTTPRouteRule, where: str, namespace: str, backends: Backends, problems: list[Condition]
) -> tuple[HTTPRoute, Filters]:
    """What is done with requests, whatever their paths."""
    try:
        filters = filters_of(rule.filters, f"{where}.filters", namespace, backends, problems)
    except Unsupported as error:
        problems.append(Condition("Accepted", False, "UnsupportedValue", str(error)))
        return _failing(backends), Filters()
    if filters.redirect is not None:
        return HTTPRoute(headers=filters.headers), filters
    shares, lost = _shares(rule, where, namespace, backends, problems)
    if not shares:
        return _failing(backends), Filters()
    total = lost + sum(share.weight for share in shares)
    abort = HTTPFaultInjectionAbort(
        http_status=backends.failing, percentage=Percent(value=100.0 * lost / total)
    )
    times = rule.timeouts
    made = HTTPRoute(
        route=tuple(shares),
        headers=filters.headers,
        mirrors=filters.mirrors,
        fault=HTTPFaultInjection(abort=abort) if lost else None,
        timeout=times.request if times else None,
    )
    if times and times.backend_request:
        retry = HTTPRetry(attempts=DEFAULT_ATTEMPTS, per_try_timeout=times.backend_request)
        made = made.model_copy(update={"retries": retry})
    return made, filters


def _failing(backends: Backends) -> HTTPRoute:
    return HTTPRoute(direct_response=HTTPDirectResponse(status=backends.failing))


def _shares(
    rule: HTTPRouteRule, where: str, namespace: str, backends: Backends, problems: list[Condition]
) -> tuple[list[HTTPRouteDestination], int]:
    """The destinations with their weights, and the weight of those that are none."""
    shares, lost = [], 0
    for index, ref in enumerate(rule.backend_refs):
        path = f"{where}.backendRefs[{index}]"
        found = backends.find(ref, namespace, path)
        try:
            filters = filters_of(ref.filters, f"{path}.filters", namespace, backends, problems)
            if filters.redirect or filters.mirrors or filters.changes_path:
                raise Unsupported(f"{path}.filters: only headers can be changed for one backend")
        except Unsupported as error:
            found = Condition("Accepted", False, "UnsupportedValue", str(error))
            filters = Filters()
        if isinstance(found, Condition):
            problems.append(found)
            lost += ref.weight
        elif ref.weight:
            made = HTTPRouteDestination(destination=found, weight=ref.weight, headers=filters.headers)
            shares.append(made)
    return shares, lost


def _matching(match: HTTPRouteMatch, base: HTTPRoute, filters: Filters) -> Iterator[HTTPRoute]:
    """`base` for the requests that match: several routes where each kind of path is rewritten in its way."""
    kind, value = ("PathPrefix", "/") if match.path is None else (match.path.type, match.path.value)
    prefix = value if kind == "PathPrefix" else ""
    for paths, changes in filters.by_path(prefix):
        uris: Sequence[StringMatch] = paths
        if kind == "Exact":
            uris = (StringMatch(exact=value),)
        elif kind == "RegularExpression":
            uris = (StringMatch(regex=value),)
        asked = tuple(one for one in (_asked(match, uri) for uri in uris or below(value)) if one)
        yield base.model_copy(update={**changes, "match": asked})


def _asked(match: HTTPRouteMatch, uri: StringMatch) -> HTTPMatchRequest | None:
    """None: every request."""
    headers = {one.name.lower(): _value(one) for one in _first(match.headers)}
    queries = {one.name: _value(one) for one in _first(match.query_params, fold=False)}
    method = StringMatch(exact=match.method) if match.method else None
    plain = uri.prefix == "/"
    if plain and not (headers or queries or method):
        return None
    return HTTPMatchRequest(uri=None if plain else uri, headers=headers, query_params=queries, method=method)


def _first(many: Iterable[HTTPValueMatch], *, fold: bool = True) -> list[HTTPValueMatch]:
    """Of several for one name the first counts."""
    found: dict[str, HTTPValueMatch] = {}
    for one in many:
        found.setdefault(one.name.lower() if fold else one.name, one)
    return list(found.values())


def _value(one: HTTPValueMatch) -> StringMatch:
    return StringMatch(exact=one.value) if one.type == "Exact" else StringMatch(regex=one.value)
