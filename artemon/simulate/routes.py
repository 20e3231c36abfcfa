"""Which route a request takes: the first whose conditions all hold (Envoy API, `RouteMatch`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    QueryParameterMatcher,
    Route,
    RouteMatch,
    VirtualHost,
)
from envoy.extensions.path.match.uri_template.v3.uri_template_match_pb2 import UriTemplateMatchConfig
from envoy.type.v3.percent_pb2 import FractionalPercent

from artemon.simulate.outcome import NO_ROUTE, Step, Stopped
from artemon.simulate.request import Request, query_parameters
from artemon.simulate.templates import fits_template
from artemon.simulate.values import fits_metadata, fits_number, fits_regex, fits_text

WHOLE = {
    FractionalPercent.HUNDRED: 100,
    FractionalPercent.TEN_THOUSAND: 10_000,
    FractionalPercent.MILLION: 1_000_000,
}


def choose_route(host: VirtualHost, request: Request) -> tuple[Route, Step]:
    """The route of a request. Raises Stopped when there is none: 404."""
    passed: list[str] = []
    for number, route in enumerate(host.routes):
        objection = objection_to(route.match, request)
        if objection is None:
            later = host.routes[number + 1 :]
            shadowed = [f"{title(one)}: fits too, but stands later" for one in later if _fits(one, request)]
            return route, Step("route", route.name, describe(route.match), (*passed, *shadowed))
        passed.append(f"{title(route)}: {objection}")
    raise Stopped(NO_ROUTE, {"status": 404}, why="; ".join(passed) or "the virtual host has no routes")


def depends_on_chance(host: VirtualHost, request: Request) -> bool:
    """Whether another draw could have taken another route: a share of requests decides before the winner."""
    for route in host.routes:
        share = share_of(route.match.runtime_fraction) if route.match.HasField("runtime_fraction") else 1.0
        if share == 0 or next(_objections(route.match, request, chance=False), None) is not None:
            continue
        return share < 1
    return False


def _fits(route: Route, request: Request) -> bool:
    return objection_to(route.match, request) is None


def title(route: Route) -> str:
    """What to call a route in a list of routes."""
    return f"route {route.name or '(unnamed)'} ({describe(route.match)})"


def describe(match: RouteMatch) -> str:
    """What a route asks for, in a line."""
    kind = match.WhichOneof("path_specifier") or "any path"
    value: Any = getattr(match, kind, "")
    text = value.regex if kind == "safe_regex" else value if isinstance(value, str) else ""
    parts = [f"{kind.replace('_', ' ')} {text}".strip()]
    parts += [f"header {one.name}" for one in match.headers]
    parts += [f"query {one.name}" for one in match.query_parameters]
    return ", ".join(parts)


def objection_to(match: RouteMatch, request: Request) -> str | None:
    """The first condition that does not hold; None when all do."""
    return next(_objections(match, request, chance=True), None)


def _objections(match: RouteMatch, request: Request, *, chance: bool) -> Iterator[str]:
    if not _path_fits(match, request.path):
        yield f"the path is {request.path}"
    for header in match.headers:
        if not header_fits(header, request.headers):
            yield f"header {header.name} is {request.headers.get(header.name.lower(), 'absent')}"
    asked = query_parameters(request.query)
    for parameter in match.query_parameters:
        if not _query_fits(parameter, asked):
            yield f"query parameter {parameter.name} is {asked.get(parameter.name, 'absent')}"
    for matcher in match.dynamic_metadata:
        if not fits_metadata(matcher, request.metadata):
            yield f"claim {'.'.join(one.key for one in matcher.path)} does not fit"
    if match.HasField("grpc") and not _is_grpc(request):
        yield "it is not gRPC"
    yield from _tls_objections(match, request)
    if chance and match.HasField("runtime_fraction") and request.draw >= share_of(match.runtime_fraction):
        yield f"it takes {share_of(match.runtime_fraction):.4%} of requests"


def _tls_objections(match: RouteMatch, request: Request) -> Iterator[str]:
    context = match.tls_context
    for name in ("presented", "validated"):
        if context.HasField(name) and getattr(context, name).value != request.presents_certificate:
            yield f"a client certificate is not {name} as it asks"


def _is_grpc(request: Request) -> bool:
    kind = request.headers.get("content-type", "")
    return kind == "application/grpc" or kind.startswith("application/grpc+")


def share_of(fraction: RuntimeFractionalPercent) -> float:
    """The share of requests, 0 to 1."""
    value = fraction.default_value
    return min(1.0, float(value.numerator) / WHOLE[value.denominator])


def _path_fits(match: RouteMatch, path: str) -> bool:
    kind = match.WhichOneof("path_specifier")
    test = _PATHS.get(kind or "")
    return test is not None and test(match, path)


def _folded(match: RouteMatch, *texts: str) -> tuple[str, ...]:
    fold = match.HasField("case_sensitive") and not match.case_sensitive.value
    return tuple(text.lower() for text in texts) if fold else texts


def _prefix_fits(match: RouteMatch, path: str) -> bool:
    prefix, seen = _folded(match, match.prefix, path)
    return seen.startswith(prefix)


def _exact_fits(match: RouteMatch, path: str) -> bool:
    wanted, seen = _folded(match, match.path, path)
    return seen == wanted


def _segments_fit(match: RouteMatch, path: str) -> bool:
    prefix, seen = _folded(match, match.path_separated_prefix, path)
    return seen == prefix or seen.startswith(prefix + "/")


def _template_fits(match: RouteMatch, path: str) -> bool:
    config = UriTemplateMatchConfig()
    return match.path_match_policy.typed_config.Unpack(config) and fits_template(config.path_template, path)


_PATHS: Mapping[str, Callable[[RouteMatch, str], bool]] = {
    "prefix": _prefix_fits,
    "path": _exact_fits,
    "safe_regex": lambda match, path: fits_regex(match.safe_regex.regex, path),
    "path_separated_prefix": _segments_fit,
    "path_match_policy": _template_fits,
}
"""Kind of path condition -> whether a path without query fits; CONNECT requests have none."""


def header_fits(matcher: HeaderMatcher, headers: Mapping[str, str]) -> bool:
    """Whether a header is as a matcher asks. One that is missing fits nothing, not even the inverse, unless
    it counts as empty or its presence is what is asked."""
    value = headers.get(matcher.name.lower(), "" if matcher.treat_missing_header_as_empty else None)
    kind = matcher.WhichOneof("header_match_specifier") or "present_match"
    if kind == "present_match":
        wanted = matcher.present_match or not matcher.HasField("present_match")
        return ((value is not None) == wanted) is not bool(matcher.invert_match)
    if value is None:
        return False
    return _HEADERS[kind](matcher, value) is not bool(matcher.invert_match)


_HEADERS: Mapping[str, Callable[[HeaderMatcher, str], bool]] = {
    "string_match": lambda matcher, value: fits_text(matcher.string_match, value),
    "exact_match": lambda matcher, value: value == matcher.exact_match,
    "prefix_match": lambda matcher, value: value.startswith(matcher.prefix_match),
    "suffix_match": lambda matcher, value: value.endswith(matcher.suffix_match),
    "contains_match": lambda matcher, value: matcher.contains_match in value,
    "safe_regex_match": lambda matcher, value: fits_regex(matcher.safe_regex_match.regex, value),
    "range_match": lambda matcher, value: fits_number(
        matcher.range_match.start, matcher.range_match.end, value
    ),
}


def _query_fits(matcher: QueryParameterMatcher, asked: Mapping[str, str]) -> bool:
    value = asked.get(matcher.name)
    if value is None:
        return False
    if matcher.WhichOneof("query_parameter_match_specifier") == "string_match":
        return fits_text(matcher.string_match, value)
    return True
