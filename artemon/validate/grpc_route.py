"""Rules of GRPCRoute, as Gateway API's CRD has them."""

from __future__ import annotations

import re

from artemon.model.gateway_routes import HTTPRouteMatch
from artemon.model.grpc_routes import GRPCMethodMatch, GRPCRoute
from artemon.model.resource import Resource
from artemon.snapshot.edge.grpc import rule_as_http
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, wrong
from artemon.validate.gateway_routes import attachment, rule_problems
from artemon.validate.texts import regex

_NAMES = {
    "service": re.compile(r"\.?[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*"),
    "method": re.compile(r"[A-Za-z_][A-Za-z_0-9]*"),
}


def grpc_route(resource: Resource[GRPCRoute], _: Context) -> Problems:
    """What is wrong with one GRPCRoute."""
    yield from attachment(resource.spec.parent_refs, resource.spec.hostnames)
    for index, rule in enumerate(resource.spec.rules):
        where = f"spec.rules[{index}]"
        for number, match in enumerate(rule.matches):
            if match.method is not None:
                yield from _method(match.method, f"{where}.matches[{number}].method")
        matches = tuple(HTTPRouteMatch(headers=one.headers) for one in rule.matches)
        yield from rule_problems(rule_as_http(rule).model_copy(update={"matches": matches}), where)


def _method(asked: GRPCMethodMatch, where: str) -> Problems:
    if not asked.service and not asked.method:
        yield error(where, "must have a service, a method or both")
    for name, value in (("service", asked.service), ("method", asked.method)):
        if value and asked.type == "RegularExpression":
            yield from wrong(f"{where}.{name}", regex(value))
        elif value and not _NAMES[name].fullmatch(value):
            yield error(f"{where}.{name}", f'"{value}" is no name of a {name} of gRPC')
