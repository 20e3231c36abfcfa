"""Patches of one listener, down to its HTTP filters and the routes that are written in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from artemon.model.filter_names import MANAGER
from artemon.translate.patches.lists import edit
from artemon.translate.patches.match import (
    Setting,
    chain_matches,
    http_filter_matches,
    listener_filter_matches,
    network_filter_matches,
    picks_http_filter,
    picks_listener_filter,
    picks_network_filter,
    same_filter,
)
from artemon.translate.patches.merge import merge
from artemon.translate.patches.read import Patch
from artemon.translate.patches.routes import ROUTE_LEVELS, patch_routes
from artemon.translate.wire import packed


def chains_of(listener: Listener) -> Iterator[FilterChain]:
    """Every filter chain, the default one last."""
    yield from listener.filter_chains
    if listener.HasField("default_filter_chain"):
        yield listener.default_filter_chain


def managers_of(chain: FilterChain) -> Iterator[tuple[int, HttpConnectionManager]]:
    """The connection managers of a chain with their place among its filters."""
    for index, one in enumerate(chain.filters):
        manager = HttpConnectionManager()
        if same_filter(MANAGER, one.name) and one.typed_config.Unpack(manager):
            yield index, manager


def patch_listener(listener: Listener, patch: Patch, setting: Setting) -> bool:
    """Whether the patch, which is about this listener or what is in it, changed it."""
    if patch.apply_to in ROUTE_LEVELS:
        return _inline_routes(listener, patch, setting)
    return _LEVELS[patch.apply_to](listener, patch)


def _whole(listener: Listener, patch: Patch) -> bool:
    merge(listener, patch.given, replace_lists=patch.replaces_lists)
    return True


def _listener_filters(listener: Listener, patch: Patch) -> bool:
    picks = picks_listener_filter(patch)
    if not picks and patch.operation in ("REMOVE", "REPLACE"):
        return False
    return edit(
        listener.listener_filters, patch, lambda one: listener_filter_matches(patch, one), picks=picks
    )


def _filter_chains(listener: Listener, patch: Patch) -> bool:
    def chosen(chain: FilterChain) -> bool:
        return chain_matches(patch, listener, chain)

    changed = edit(listener.filter_chains, patch, chosen, picks=True)
    default = listener.default_filter_chain if listener.HasField("default_filter_chain") else None
    if default is None or patch.operation == "ADD" or not chosen(default):
        return changed
    if patch.operation == "REMOVE":
        listener.ClearField("default_filter_chain")
    else:
        merge(default, patch.given, replace_lists=patch.replaces_lists)
    return True


def _network_filters(listener: Listener, patch: Patch) -> bool:
    picks = picks_network_filter(patch)
    if not picks and patch.operation in ("REMOVE", "REPLACE"):
        return False
    found = [
        edit(chain.filters, patch, lambda one: network_filter_matches(patch, one), picks=picks)
        for chain in chains_of(listener)
        if chain_matches(patch, listener, chain)
    ]
    return any(found)


def _http_filters(listener: Listener, patch: Patch) -> bool:
    picks = picks_http_filter(patch)
    if not picks and patch.operation in ("REMOVE", "REPLACE"):
        return False
    changed = False
    for chain in chains_of(listener):
        if not chain_matches(patch, listener, chain):
            continue
        for index, manager in managers_of(chain):
            if network_filter_matches(patch, chain.filters[index]) and edit(
                manager.http_filters, patch, lambda one: http_filter_matches(patch, one), picks=picks
            ):
                chain.filters[index].typed_config.CopyFrom(packed(manager))
                changed = True
    return changed


def _inline_routes(listener: Listener, patch: Patch, setting: Setting) -> bool:
    """Inbound routes are written in their connection managers."""
    changed = False
    for chain in chains_of(listener):
        for index, manager in managers_of(chain):
            if manager.HasField("route_config") and patch_routes(manager.route_config, patch, setting):
                chain.filters[index].typed_config.CopyFrom(packed(manager))
                changed = True
    return changed


_LEVELS: Mapping[str, Callable[[Listener, Patch], bool]] = {
    "LISTENER": _whole,
    "LISTENER_FILTER": _listener_filters,
    "FILTER_CHAIN": _filter_chains,
    "NETWORK_FILTER": _network_filters,
    "HTTP_FILTER": _http_filters,
}
