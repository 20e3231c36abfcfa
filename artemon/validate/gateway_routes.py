"""Rules of HTTPRoute, as Gateway API's CRD has them."""

from __future__ import annotations

from collections.abc import Sequence

from artemon.model.gateway_routes import (
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRoute,
    HTTPRouteFilter,
    HTTPRouteMatch,
    HTTPRouteRule,
    ParentReference,
)
from artemon.model.resource import Resource
from artemon.validate.amounts import duration, port
from artemon.validate.context import Context
from artemon.validate.findings import Problems, Reason, error, repeats, wrong
from artemon.validate.ingress import element_path, hostname
from artemon.validate.texts import header_name, header_value, regex

MAX_WEIGHT = 1_000_000
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_FIELDS = {
    "RequestHeaderModifier": "request_header_modifier",
    "ResponseHeaderModifier": "response_header_modifier",
    "RequestMirror": "request_mirror",
    "RequestRedirect": "request_redirect",
    "URLRewrite": "url_rewrite",
    "ExtensionRef": "extension_ref",
}
_ONCE = set(_FIELDS) - {"RequestMirror", "ExtensionRef"}
_CODES = (301, 302, 303, 307, 308)


def http_route(resource: Resource[HTTPRoute], _: Context) -> Problems:
    """What is wrong with one HTTPRoute."""
    spec = resource.spec
    yield from attachment(spec.parent_refs, spec.hostnames)
    for index, rule in enumerate(spec.rules):
        yield from rule_problems(rule, f"spec.rules[{index}]")


def attachment(parents: Sequence[ParentReference], hosts: Sequence[str]) -> Problems:
    """What is wrong with where a route of any kind attaches."""
    for index, parent in enumerate(parents):
        if not parent.name:
            yield error(f"spec.parentRefs[{index}].name", "must not be empty")
    for index, host in enumerate(hosts):
        yield from wrong(f"spec.hostnames[{index}]", hostname(host))


def rule_problems(rule: HTTPRouteRule, where: str) -> Problems:
    """What is wrong with one rule."""
    for index, match in enumerate(rule.matches):
        yield from _match(match, f"{where}.matches[{index}]")
    yield from _filters(rule.filters, f"{where}.filters")
    kinds = {one.type for one in rule.filters}
    if "RequestRedirect" in kinds and rule.backend_refs:
        yield error(f"{where}.backendRefs", "must be empty beside a RequestRedirect")
    only = rule.matches[0].path if len(rule.matches) == 1 else None
    by_prefix = not rule.matches or (len(rule.matches) == 1 and (only is None or only.type == "PathPrefix"))
    if not by_prefix and any(_replaces_prefix(one) for one in rule.filters):
        text = "ReplacePrefixMatch is for rules with one match, of type PathPrefix"
        yield error(f"{where}.filters", text)
    for index, ref in enumerate(rule.backend_refs):
        path = f"{where}.backendRefs[{index}]"
        if not 0 <= ref.weight <= MAX_WEIGHT:
            yield error(f"{path}.weight", f"must be 0 to {MAX_WEIGHT}, not {ref.weight}")
        if (ref.group, ref.kind) == ("", "Service"):
            yield from wrong(f"{path}.port", port(ref.port) if ref.port else "is required for a Service")
        yield from _filters(ref.filters, f"{path}.filters")
    if rule.timeouts is not None:
        yield from _timeouts(rule, f"{where}.timeouts")


def _timeouts(rule: HTTPRouteRule, where: str) -> Problems:
    times = rule.timeouts
    assert times is not None
    for name, span in (("request", times.request), ("backendRequest", times.backend_request)):
        if span:
            yield from duration(span, f"{where}.{name}")
    if times.request and times.backend_request and times.backend_request > times.request:
        yield error(f"{where}.backendRequest", "must not be longer than request")


def _match(match: HTTPRouteMatch, where: str) -> Problems:
    if match.path is not None:
        yield from wrong(f"{where}.path.value", _path(match.path.type, match.path.value))
    for name, many in (("headers", match.headers), ("queryParams", match.query_params)):
        for index, one in enumerate(many):
            path = f"{where}.{name}[{index}]"
            known = header_name(one.name) if name == "headers" else None if one.name else "must not be empty"
            yield from wrong(f"{path}.name", known)
            if one.type == "RegularExpression":
                yield from wrong(f"{path}.value", regex(one.value))
    if match.method and match.method not in METHODS:
        yield error(f"{where}.method", f'"{match.method}" must be one of {", ".join(METHODS)}')


def _path(kind: str, value: str) -> Reason:
    if kind == "RegularExpression":
        return regex(value)
    return element_path(value) or ('must not have "#"' if "#" in value else None)


def _filters(filters: Sequence[HTTPRouteFilter], where: str) -> Problems:
    for index, one in enumerate(filters):
        yield from _filter(one, f"{where}[{index}]")
    kinds = [one.type for one in filters]
    for index in repeats(kinds):
        if kinds[index] in _ONCE:
            yield error(f"{where}[{index}].type", f"{kinds[index]} is given twice")
    if {"RequestRedirect", "URLRewrite"} <= set(kinds):
        yield error(where, "RequestRedirect and URLRewrite exclude one another")


def _filter(one: HTTPRouteFilter, where: str) -> Problems:
    if one.type not in _FIELDS:
        yield error(f"{where}.type", f'"{one.type}" must be one of {", ".join(_FIELDS)}')
        return
    for kind, field in _FIELDS.items():
        wire = type(one).model_fields[field].alias
        there = getattr(one, field) is not None
        if there != (kind == one.type):
            text = f"is for type {kind}" if there else f"is required for type {one.type}"
            yield error(f"{where}.{wire}", text)
    for change, name in (
        (one.request_header_modifier, "requestHeaderModifier"),
        (one.response_header_modifier, "responseHeaderModifier"),
    ):
        yield from _headers(change, f"{where}.{name}")
    redirect, rewrite = one.request_redirect, one.url_rewrite
    if redirect is not None:
        if redirect.status_code not in _CODES:
            yield error(
                f"{where}.requestRedirect.statusCode", f"must be one of {', '.join(map(str, _CODES))}"
            )
        if redirect.scheme not in ("", "http", "https"):
            yield error(f"{where}.requestRedirect.scheme", "must be http or https")
        yield from _modifier(redirect.path, f"{where}.requestRedirect.path")
    if rewrite is not None:
        yield from _modifier(rewrite.path, f"{where}.urlRewrite.path")
    fraction = one.request_mirror.fraction if one.request_mirror else None
    if fraction is not None and not 0 <= fraction.numerator <= fraction.denominator:
        yield error(f"{where}.requestMirror.fraction", "must be 0 to 1")


def _headers(change: HTTPHeaderFilter | None, where: str) -> Problems:
    if change is None:
        return
    for name, many in (("set", change.set_), ("add", change.add)):
        for index, header in enumerate(many):
            yield from wrong(f"{where}.{name}[{index}].name", header_name(header.name))
            yield from wrong(f"{where}.{name}[{index}].value", header_value(header.value.replace("%", "%%")))
    for index, removed in enumerate(change.remove):
        yield from wrong(f"{where}.remove[{index}]", header_name(removed))


def _modifier(path: HTTPPathModifier | None, where: str) -> Problems:
    if path is None:
        return
    pairs = {
        "ReplaceFullPath": ("replaceFullPath", path.replace_full_path),
        "ReplacePrefixMatch": ("replacePrefixMatch", path.replace_prefix_match),
    }
    for kind, (field, value) in pairs.items():
        if (value is not None) != (kind == path.type):
            text = f"is for type {kind}" if value is not None else f"is required for type {kind}"
            yield error(f"{where}.{field}", text)


def _replaces_prefix(one: HTTPRouteFilter) -> bool:
    changes = (
        one.request_redirect.path if one.request_redirect else None,
        one.url_rewrite.path if one.url_rewrite else None,
    )
    return any(path is not None and path.replace_prefix_match is not None for path in changes)
