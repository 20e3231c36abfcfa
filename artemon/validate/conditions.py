"""`when` of AuthorizationPolicy: attributes and their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from artemon.model.authorization_policy import Condition
from artemon.validate.addresses import ip_or_block
from artemon.validate.amounts import is_port_text
from artemon.validate.findings import Problems, Reason, error, wrong


def _text(_: str) -> Reason:
    return None


def _port(value: str) -> Reason:
    return None if is_port_text(value) else f'"{value}" is not a port (1 to 65535)'


_PLAIN: Mapping[str, Callable[[str], Reason]] = {
    "source.ip": ip_or_block,
    "remote.ip": ip_or_block,
    "destination.ip": ip_or_block,
    "destination.port": _port,
    "source.namespace": _text,
    "source.principal": _text,
    "source.serviceAccount": _text,
    "source.trustDomain": _text,
    "request.auth.principal": _text,
    "request.auth.audiences": _text,
    "request.auth.presenter": _text,
    "connection.sni": _text,
}
_KEYED = ("request.headers", "request.auth.claims", "experimental.envoy.filters.")
_WHOLE = re.compile(
    r"request\.headers\[:?[-!#$%&'*+.^_`|~0-9A-Za-z]+\]"
    r"|request\.auth\.claims(\[[^\[\]]+\])+"
    r"|experimental\.envoy\.filters\.[^\[\]]+\[.+\]"
)
"""Attributes with a key in brackets: `request.headers[x-user]`, `request.auth.claims[a][b]`."""

_GONE: Mapping[str, str] = {
    "destination.namespace": "the namespace of the policy",
    "destination.labels": "spec.selector",
    "destination.name": "spec.selector",
    "destination.user": "spec.selector",
}


def condition(when: Condition, path: str) -> Problems:
    """What is wrong with one condition."""
    if not when.key:
        yield error(f"{path}.key", "must not be empty")
        return
    reason = _key(when.key)
    if reason:
        yield error(f"{path}.key", reason)
    if not when.values and not when.not_values:
        yield error(path, f"needs values or notValues for {when.key}")
    check = _PLAIN.get(when.key, _text)
    for name, values in (("values", when.values), ("notValues", when.not_values)):
        for index, value in enumerate(values):
            yield from wrong(f"{path}.{name}[{index}]", check(value) if value else "must not be empty")


def _key(key: str) -> Reason:
    if key in _PLAIN:
        return None
    gone = next((instead for name, instead in _GONE.items() if key.split("[", maxsplit=1)[0] == name), None)
    if gone:
        return f"{key} is no attribute any more; use {gone}"
    if not key.startswith(_KEYED):
        return f'"{key}" is not an attribute (known: {", ".join(_PLAIN)}, {"[...], ".join(_KEYED)}[...])'
    if _WHOLE.fullmatch(key):
        return None
    return f"{key!r} must have a key in brackets, as in request.headers[x-user], request.auth.claims[a][b]"
