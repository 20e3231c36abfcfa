"""What a route does with a request: forwards it, redirects it, or answers it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envoy.config.route.v3.route_components_pb2 import RedirectAction, Route, RouteAction, WeightedCluster
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from artemon.simulate.outcome import Target
from artemon.simulate.request import Request

_STATUSES = {
    RedirectAction.MOVED_PERMANENTLY: 301,
    RedirectAction.FOUND: 302,
    RedirectAction.SEE_OTHER: 303,
    RedirectAction.TEMPORARY_REDIRECT: 307,
    RedirectAction.PERMANENT_REDIRECT: 308,
}
DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Deed:
    """cluster: where it goes, None for nowhere. response: what Envoy answers itself."""

    cluster: Target | None = None
    response: Mapping[str, Any] | None = None


def act(route: Route, request: Request) -> Deed:
    """What the route does with a request that matches it."""
    match route.WhichOneof("action"):
        case "route":
            return Deed(cluster=_destination(route.route, request))
        case "redirect":
            location = redirect_location(route.redirect, route, request)
            status = _STATUSES.get(route.redirect.response_code, 301)
            return Deed(response={"status": status, "location": location})
        case "direct_response":
            return Deed(response={"status": route.direct_response.status})
    return Deed(response={"status": 404})


def _destination(action: RouteAction, request: Request) -> Target | None:
    match action.WhichOneof("cluster_specifier"):
        case "cluster":
            return str(action.cluster)
        case "cluster_header":
            return request.headers.get(action.cluster_header.lower())
        case "weighted_clusters":
            return _shares(action.weighted_clusters)
    return None


def _shares(weighted: WeightedCluster) -> Target:
    return _target({one.name: one.weight.value for one in weighted.clusters})


def connection_target(proxy: TcpProxy) -> Target:
    """Where a TCP proxy passes bytes on to."""
    if proxy.WhichOneof("cluster_specifier") == "cluster":
        return str(proxy.cluster)
    return _target({one.name: one.weight for one in proxy.weighted_clusters.clusters})


def _target(shares: Mapping[str, int]) -> Target:
    """One cluster where only one has a weight above zero."""
    left = {name: weight for name, weight in shares.items() if weight > 0}
    return next(iter(left)) if len(left) == 1 else left


def redirect_location(redirect: RedirectAction, route: Route, request: Request) -> str:
    """Where a redirect leads (Envoy API, `RedirectAction`)."""
    asked = request.headers[":scheme"]
    scheme = redirect.scheme_redirect or ("https" if redirect.https_redirect else asked)
    host, port = _split_port(request.authority)
    host = redirect.host_redirect or host
    if redirect.port_redirect:
        port = str(redirect.port_redirect)
    elif redirect.host_redirect or (scheme != asked and port == DEFAULT_PORTS.get(asked)):
        port = ""
    path, query = _redirected_path(redirect, route, request), request.query
    if "?" in path or redirect.strip_query:
        query = ""
    place = f"{host}:{port}" if port else host
    return f"{scheme}://{place}{path}" + (f"?{query}" if query else "")


def _split_port(authority: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.*?):(\d+)", authority)
    return (found[1], found[2]) if found else (authority, "")


def _redirected_path(redirect: RedirectAction, route: Route, request: Request) -> str:
    match redirect.WhichOneof("path_rewrite_specifier"):
        case "path_redirect":
            return str(redirect.path_redirect)
        case "prefix_rewrite":
            matched = route.match.prefix or route.match.path_separated_prefix or route.match.path
            return str(redirect.prefix_rewrite) + request.path[len(matched) :]
    return request.path
