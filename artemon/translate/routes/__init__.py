"""Route configurations: which request goes where."""

from __future__ import annotations

from collections.abc import Mapping

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate.routes.gateway import gateway_routes
from artemon.translate.routes.hosts import Surroundings
from artemon.translate.routes.rules import Rules
from artemon.translate.routes.scope import targets_of
from artemon.translate.routes.sidecar import Tables


def routes(view: ProxyView) -> Mapping[str, RouteConfiguration]:
    """Every route configuration that the listeners of this proxy ask for, by name."""
    return {name: RouteConfiguration.FromString(body) for name, body in route_bodies(view, Memo()).items()}


def route_bodies(view: ProxyView, memo: Memo) -> Mapping[str, bytes]:
    """The same, serialized. memo: parts that were made before, for this proxy or another, are taken from
    it."""
    targets = targets_of(view)
    around = Surroundings(view, memo.get(Rules, view.virtual_services, memo), targets, memo)
    same = (view.services, view.destinations, view.proxy, view.mesh, view.sidecar)
    out = memo.get(Tables, *same).bodies(around)
    for name, made in gateway_routes(view, targets).items():
        out[name] = made.SerializeToString(deterministic=True)
    return out
