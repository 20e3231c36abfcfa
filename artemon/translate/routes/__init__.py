"""Route configurations: which request goes where."""

from __future__ import annotations

from collections.abc import Mapping

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate.egress import route_tables
from artemon.translate.routes.gateway import gateway_routes
from artemon.translate.routes.rules import Rules
from artemon.translate.routes.scope import targets_of
from artemon.translate.routes.sidecar import Surroundings, route_configuration


def routes(view: ProxyView, memo: Memo | None = None) -> Mapping[str, RouteConfiguration]:
    """Every route configuration that the listeners of this proxy ask for, by name.

    memo: parts that were made before, for this proxy or another, are taken from it.
    """
    targets = targets_of(view)
    around = Surroundings(view, Rules(view.virtual_services), targets, Memo() if memo is None else memo)
    out = {name: route_configuration(table, around) for name, table in route_tables(view).items()}
    out.update(gateway_routes(view, targets))
    return out
