"""Match blocks of HTTP routes."""

from __future__ import annotations

from artemon.model.virtual_service import HTTPMatchRequest
from artemon.model.words import path_of
from artemon.validate.amounts import port
from artemon.validate.findings import Problems, Reason, error, warning, wrong
from artemon.validate.hosts import fqdn, is_label, label
from artemon.validate.scope import labels
from artemon.validate.texts import header_name, is_claim, string_match


def http_match(match: HTTPMatchRequest, path: str, *, claims: bool) -> Problems:
    """What is wrong with one match block. claims: whether it may look at JWTs (on a gateway only)."""
    yield from string_match(match.uri, f"{path}.uri", empty_prefix=True)
    for name in ("scheme", "method", "authority"):
        yield from string_match(getattr(match, name), f"{path}.{name}")
    for name, value in match.headers.items():
        where = path_of((name,), f"{path}.headers")
        yield from wrong(where, _header(name, claims=claims))
        yield from string_match(value, where)
    for name, value in match.without_headers.items():
        where = path_of((name,), f"{path}.withoutHeaders")
        yield from wrong(where, _header(name, claims=claims))
        if value.regex != "*":  # the way to write "is present"
            yield from string_match(value, where)
    for name, value in match.query_params.items():
        yield from string_match(value, path_of((name,), f"{path}.queryParams"))
    yield from source(match.port, match.source_labels, path)
    yield from gateway_names(match.gateways, f"{path}.gateways")
    if match.source_namespace:
        yield from wrong(f"{path}.sourceNamespace", label(match.source_namespace))


def _header(name: str, *, claims: bool) -> Reason:
    if not is_claim(name):
        return header_name(name)
    return None if claims else f'"{name}" looks at a JWT, which only routes of a gateway can do'


def source(number: int, pairs: dict[str, str], path: str) -> Problems:
    """Port and caller's labels of a match, when they are written."""
    if number:
        yield from wrong(f"{path}.port", port(number))
    yield from labels(pairs, f"{path}.sourceLabels")


def gateway_names(names: tuple[str, ...], path: str, *, converted: bool = False) -> Problems:
    """`mesh`, `name` or `namespace/name`. converted: from Gateway API, whose names may have dots."""
    for index, name in enumerate(names):
        where = f"{path}[{index}]"
        namespace, slash, gateway = name.partition("/")
        if not slash:
            yield from wrong(where, fqdn(name))
            parts = name.split(".")
            if len(parts) > 1:
                yield warning(where, f'"{name}" is the old form; write {parts[1]}/{parts[0]}')
            continue
        if not is_label(namespace):
            yield error(where, f'"{namespace}" in "{name}" is not a namespace')
        if not is_label(gateway) and not (converted and gateway):
            yield error(where, f'"{gateway}" in "{name}" is not the name of a gateway')
