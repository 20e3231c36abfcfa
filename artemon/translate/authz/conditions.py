"""`when` of a rule: attributes by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from envoy.config.rbac.v3.rbac_pb2 import Permission, Principal

from artemon.translate.authz import callers, targets
from artemon.translate.authz.ground import Ground, NotHere

Caller = Callable[[Sequence[str], Ground, bool], list[Principal]]
Target = Callable[[Sequence[str], Ground, bool], list[Permission]]

CALLERS: Mapping[str, Caller] = {
    "source.ip": callers.ip_blocks,
    "remote.ip": callers.remote_ip_blocks,
    "source.namespace": callers.namespaces,
    "source.serviceAccount": callers.service_accounts,
    "source.trustDomain": callers.trust_domains,
    "source.principal": callers.principals,
    "request.auth.principal": callers.request_principals,
    "request.auth.audiences": partial(callers.claims, keys=("aud",)),
    "request.auth.presenter": partial(callers.claims, keys=("azp",)),
}
IDENTITIES = frozenset(
    {"source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal"}
)
"""What only mutual TLS tells."""
TARGETS: Mapping[str, Target] = {
    "destination.ip": targets.addresses,
    "destination.port": targets.ports,
    "connection.sni": targets.server_names,
}
_HEADER = "request.headers["
_CLAIMS = "request.auth.claims["
_FILTERS = "experimental."


def caller(key: str) -> Caller | None:
    """What reads an attribute of the caller or its request; None when the attribute is of the target."""
    if key.startswith(_HEADER):
        return partial(_header, name=key[len(_HEADER) : -1].lower())
    if key.startswith(_CLAIMS):
        keys = re.findall(r"\[([^\]]*)\]", key)
        return partial(callers.claims, keys=keys)
    return CALLERS.get(key) or (None if target(key) else _unknown)


def _unknown(_values: Sequence[str], _ground: Ground, _wide: bool) -> list[Principal]:
    """An attribute that nobody has: nothing is allowed by it, and what else forbids becomes wider."""
    raise NotHere


def _header(values: Sequence[str], ground: Ground, wide: bool, *, name: str) -> list[Principal]:
    return callers.headers(values, ground, wide, name=name)


def target(key: str) -> Target | None:
    """What reads an attribute of the target; None when the attribute is of the caller."""
    if key.startswith(f"{_FILTERS}envoy.filters."):
        name, _, inner = key.removeprefix(_FILTERS).partition("[")
        return lambda values, _ground, _wide: targets.metadata(values, name=name, key=inner.removesuffix("]"))
    return TARGETS.get(key)


def is_path(key: str) -> bool:
    """Whether an attribute is the path of the request."""
    return key.lower() == f"{_HEADER}:path]"
