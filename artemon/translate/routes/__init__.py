"""Route configurations: which request goes where."""

from __future__ import annotations

from collections.abc import Mapping

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.snapshot.view import ProxyView
from artemon.translate.egress import route_tables
from artemon.translate.routes.gateway import gateway_routes
from artemon.translate.routes.rules import Rules
from artemon.translate.routes.scope import targets_of
from artemon.translate.routes.sidecar import route_configuration


def routes(view: ProxyView) -> Mapping[str, RouteConfiguration]:
    """Every route configuration that the listeners of this proxy ask for, by name."""
    targets = targets_of(view)
    rules = Rules(view.virtual_services)
    out = {
        name: route_configuration(view, table, rules=rules, targets=targets)
        for name, table in route_tables(view).items()
    }
    out.update(gateway_routes(view, targets))
    return out
