"""Patches of one route configuration, its virtual hosts and their routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.translate.patches.lists import edit
from artemon.translate.patches.match import (
    Setting,
    picks_route,
    route_matches,
    routes_match,
    virtual_host_matches,
)
from artemon.translate.patches.merge import merge
from artemon.translate.patches.read import Patch


def patch_routes(config: RouteConfiguration, patch: Patch, setting: Setting) -> bool:
    """Whether the patch changed the configuration."""
    return routes_match(patch, config, setting) and ROUTE_LEVELS[patch.apply_to](config, patch)


def _whole(config: RouteConfiguration, patch: Patch) -> bool:
    merge(config, patch.given, replace_lists=patch.replaces_lists)
    return True


def _virtual_hosts(config: RouteConfiguration, patch: Patch) -> bool:
    return edit(config.virtual_hosts, patch, lambda one: virtual_host_matches(patch, one), picks=True)


def _routes(config: RouteConfiguration, patch: Patch) -> bool:
    picks = picks_route(patch)
    found = [
        edit(host.routes, patch, lambda one: route_matches(patch, one), picks=picks)
        for host in config.virtual_hosts
        if virtual_host_matches(patch, host)
    ]
    return any(found)


ROUTE_LEVELS: Mapping[str, Callable[[RouteConfiguration, Patch], bool]] = {
    "ROUTE_CONFIGURATION": _whole,
    "VIRTUAL_HOST": _virtual_hosts,
    "HTTP_ROUTE": _routes,
}
