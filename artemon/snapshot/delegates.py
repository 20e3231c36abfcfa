"""VirtualServices that leave some of their routes to others: the others' routes, put in their place.

A delegate's route answers what both its own match and the root's match describe. What it does not say
(timeout, retries and the like) it takes from the root's route.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from artemon.model.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch
from artemon.snapshot.memo import Memo, portions
from artemon.snapshot.virtual_services import Routes, visible

INHERITED = (
    "rewrite",
    "direct_response",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirrors",
    "mirror_percent",
    "mirror_percentage",
    "cors_policy",
    "headers",
)
"""What a delegate's route takes from the root's where it says nothing."""

_ONE_OF_BOTH = ("scheme", "method", "authority", "port", "source_namespace", "stat_prefix")
_UNITED = ("headers", "without_headers", "query_params", "source_labels")


def inlined(memo: Memo, resources: Sequence[Routes], default_export: tuple[str, ...]) -> tuple[Routes, ...]:
    """All of them, those that delegate with the routes of the delegates that they may see."""
    if not any(memo.get(_some_delegate, *some) for some in portions(resources)):
        return tuple(resources)
    by_name = {(one.meta.namespace, one.meta.name): one for one in resources if not one.spec.hosts}
    return tuple(_inline(memo, one, by_name, default_export) for one in resources)


def _some_delegate(*resources: Routes) -> bool:
    return any(route.delegate for one in resources for route in one.spec.http)


def _inline(
    memo: Memo, root: Routes, by_name: Mapping[tuple[str, str], Routes], default_export: tuple[str, ...]
) -> Routes:
    if not any(route.delegate for route in root.spec.http):
        return root
    found: list[Routes | None] = []
    for route in root.spec.http:
        wanted = route.delegate
        key = (wanted.namespace or root.meta.namespace, wanted.name) if wanted else ("", "")
        delegate = by_name.get(key)
        seen = delegate is not None and visible(delegate, root.meta.namespace, default_export)
        found.append(delegate if seen else None)
    return memo.get(_with_delegates, root, *found)


def _with_delegates(root: Routes, *delegates: Routes | None) -> Routes:
    routes: list[HTTPRoute] = []
    for route, delegate in zip(root.spec.http, delegates, strict=True):
        if route.delegate is None:
            routes.append(route)
        elif delegate is not None:
            routes += _joined(route, delegate)
    return replace(root, spec=root.spec.model_copy(update={"http": tuple(routes)}))


def _joined(root: HTTPRoute, delegate: Routes) -> Iterator[HTTPRoute]:
    for route in delegate.spec.http:
        matches = tuple(_both(root.match, route.match))
        if not matches and (root.match or route.match):
            continue
        update = {name: getattr(root, name) for name in INHERITED if not getattr(route, name)}
        update |= {"match": matches, "name": "-".join(filter(None, (root.name, route.name)))}
        yield route.model_copy(update=update)


def _both(
    root: Sequence[HTTPMatchRequest], delegate: Sequence[HTTPMatchRequest]
) -> Iterator[HTTPMatchRequest]:
    """Every way to meet one match of each; no matches are met by anything."""
    if not root or not delegate:
        yield from root or delegate
        return
    for one in root:
        for other in delegate:
            both = _and(one, other)
            if both is not None:
                yield both


def _and(root: HTTPMatchRequest, delegate: HTTPMatchRequest) -> HTTPMatchRequest | None:
    """A match that asks for what both ask for; None when nothing can meet both."""
    update: dict[str, object] = {"name": "-".join(filter(None, (root.name, delegate.name)))}
    if root.uri is not None:
        if delegate.uri is not None and not _narrows(delegate.uri, root.uri):
            return None
        update["uri"] = delegate.uri or root.uri
    for name in _ONE_OF_BOTH:
        above, below = getattr(root, name), getattr(delegate, name)
        if above and below and above != below:
            return None
        update[name] = below or above
    for name in _UNITED:
        above, below = getattr(root, name), getattr(delegate, name)
        if any(above[key] != below[key] for key in above.keys() & below.keys()):
            return None
        update[name] = {**above, **below}
    if root.gateways and delegate.gateways:
        update["gateways"] = tuple(one for one in root.gateways if one in delegate.gateways)
        if not update["gateways"]:
            return None
    else:
        update["gateways"] = root.gateways or delegate.gateways
    update["ignore_uri_case"] = root.ignore_uri_case or delegate.ignore_uri_case
    return delegate.model_copy(update=update)


def _narrows(inner: StringMatch, outer: StringMatch) -> bool:
    """Whether what meets `inner` surely meets `outer`: equal, or within a prefix."""
    if inner == outer:
        return True
    begins = inner.exact or inner.prefix
    return outer.prefix is not None and begins is not None and begins.startswith(outer.prefix)
