"""What one proxy has beside clusters of services: listeners, routes, clusters of its own.

Every part is made from a view that is reduced to what it may depend on, so that it is shared by all whom it
does not tell apart, and made anew only when that changed:

- inbound listeners and own clusters see the services that the workload serves, with its own instances, and
  a router's Gateways;
- outbound listeners and routes of sidecars see a stand-in for the proxy, without name and identity; listeners
  see rules for connections alone, and instances only of services without discovery (`resolution: NONE`);
- listeners and routes of routers see everything but instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from envoy.config.listener.v3.listener_pb2 import Listener

from artemon.model.proxy import Proxy, ProxyType
from artemon.model.service import Endpoint, Resolution
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import NO_POLICIES, MtlsMode, ProxyView
from artemon.translate.filters.bans import shut_out
from artemon.translate.listeners.gateway import gateway_listeners
from artemon.translate.listeners.inbound import inbound_listeners
from artemon.translate.listeners.outbound import outbound_listeners
from artemon.translate.local_clusters import local_clusters
from artemon.translate.outbound import Endpoints, Named
from artemon.translate.routes import route_bodies
from artemon.translate.routes.rules import Rule, Rules
from artemon.xds.resource import Resource, content_version
from artemon.xds.types import CLUSTER, LISTENER, ROUTES


@dataclass(frozen=True, slots=True)
class Own:
    """What one proxy has of its own."""

    clusters: Named
    listeners: Named
    routes: Named


def own_parts(view: ProxyView, endpoints: Endpoints, memo: Memo) -> Own:
    """All parts. endpoints: of the services that the workload serves and of those without discovery."""
    served = {host: found for host, found in endpoints.items() if host in _served(view)}
    near = {
        host: tuple(one for one in found if _is_behind(view.proxy, one)) for host, found in served.items()
    }
    undiscovered = {
        host: found for host, found in endpoints.items() if view.services[host].resolution is Resolution.NONE
    }
    inner = _shared(memo, _inner(view, memo), near)
    clusters = memo.get(_named, by=memo.get(_local_clusters, inner))
    if view.proxy.type is ProxyType.SIDECAR:
        outer = _shared(memo, _outer(view, memo), undiscovered)
        listeners = memo.get(_merged, memo.get(_outbound, outer, memo), memo.get(_inbound, inner))
        asking = _shared(memo, _asking(view, memo), {})
    else:
        asking = _shared(memo, view, {**undiscovered, **near})
        listeners = memo.get(_gateway, asking)
    return Own(clusters, listeners, memo.get(_routes, asking, memo))


def _served(view: ProxyView) -> frozenset[str]:
    return frozenset(one.host for one in view.own)


def _is_behind(proxy: Proxy, endpoint: Endpoint) -> bool:
    return endpoint.address in proxy.ip_addresses or endpoint.node == proxy.id


def _inner(view: ProxyView, memo: Memo) -> ProxyView:
    """What can be known of the workload itself."""
    hosts = _served(view)
    rules = {host: view.destinations[host] for host in sorted(hosts) if host in view.destinations}
    return replace(
        view,
        services=memo.get(_mapping, *view.own, by=tuple(one.host for one in view.own)),
        virtual_services=(),
        destinations=memo.get(_mapping, *rules.values(), by=tuple(rules)),
    )


_NOTHING_SERVED: Mapping[str, Any] = MappingProxyType(
    {"own": (), "inbound_mtls": MtlsMode(), "policies": NO_POLICIES, "bans": (), "drain": ""}
)
"""What outbound parts do not depend on."""


def _outer(view: ProxyView, memo: Memo) -> ProxyView:
    """What outbound listeners are made from. Its address counts only where something is bound to it."""
    rules = memo.get(_for_connections, view.virtual_services, memo)
    binds = bool(view.sidecar and any(one.port is not None for one in view.sidecar.spec.egress))
    bound = not view.proxy.intercepts or view.proxy.http_proxy_port or view.mesh.proxy_http_port or binds
    client = _client(view, memo, rules, addresses=view.proxy.ip_addresses if bound else ())
    return replace(view, proxy=client, virtual_services=rules, **_NOTHING_SERVED)


def _asking(view: ProxyView, memo: Memo) -> ProxyView:
    """What routes of sidecars are made from."""
    client = _client(view, memo, view.virtual_services, addresses=())
    return replace(view, proxy=client, **_NOTHING_SERVED)


def _client(view: ProxyView, memo: Memo, rules: Any, *, addresses: tuple[str, ...]) -> Proxy:
    """A stand-in for all proxies that listeners or routes cannot tell apart."""
    asked = memo.get(Rules, rules, memo).labels
    proxy = view.proxy
    labels = tuple(sorted((name, value) for name, value in proxy.labels.items() if name in asked))
    facts = (proxy.intercepts, proxy.http_proxy_port, addresses, labels, proxy.ipv6, proxy.outbound_port)
    return memo.get(_stand_in, by=(proxy.type, proxy.namespace, proxy.dns_domain, *facts))


def _stand_in(kind: ProxyType, namespace: str, dns_domain: str, *facts: Any) -> Proxy:
    intercepts, http_proxy_port, addresses, labels, ipv6, outbound_port = facts
    return Proxy(
        id=f"~~~{dns_domain}",
        type=kind,
        name="",
        namespace=namespace,
        ip_addresses=addresses,
        labels=dict(labels),
        intercepts=intercepts,
        http_proxy_port=http_proxy_port,
        ipv6=ipv6,
        outbound_port=outbound_port,
    )


def _for_connections(rules: tuple[Rule, ...], memo: Memo) -> tuple[Rule, ...]:
    """Those that say something of connections; requests are a matter of routes."""
    return memo.get(_sequence, *(rule for rule in rules if rule.spec.tcp or rule.spec.tls))


def _shared(memo: Memo, view: ProxyView, endpoints: Endpoints) -> ProxyView:
    """The view with these instances alone; one object for all views of the same parts."""
    instances = [memo.get(_sequence, *found) for found in endpoints.values()]
    mode = view.inbound_mtls
    parts = {
        "policies": view.policies,
        "reports": view.reports,
        "proxy": view.proxy,
        "mesh": view.mesh,
        "services": view.services,
        "endpoints": memo.get(_mapping, *instances, by=tuple(endpoints)),
        "virtual_services": view.virtual_services,
        "gateways": memo.get(_sequence, *view.gateways),
        "destinations": view.destinations,
        "own": memo.get(_sequence, *view.own),
        "sidecar": view.sidecar,
        "inbound_mtls": memo.get(_mode, by=(mode.default, *mode.ports.items())),
    }
    by = (tuple(parts), view.trust_domain, view.bans, view.drain)
    return memo.get(_reduced, *parts.values(), by=by)


def _reduced(*parts: Any) -> ProxyView:
    *values, names, trust_domain, bans, drain = parts
    return ProxyView(
        **dict(zip(names, values, strict=True)), trust_domain=trust_domain, bans=bans, drain=drain
    )


def _mapping(*parts: Any) -> dict[str, Any]:
    half = len(parts) // 2
    return dict(zip(parts[half:], parts[:half], strict=True))


def _sequence(*parts: Any) -> tuple[Any, ...]:
    return parts


def _mode(default: Any, *ports: Any) -> MtlsMode:
    return MtlsMode(default, dict(ports))


def _named(*resources: Resource) -> Named:
    return {one.name: one for one in resources}


def _merged(others: Named, first: Named) -> Named:
    """Where two would bind to one address and port, that of `first` stands."""
    return {**others, **first}


def _local_clusters(view: ProxyView) -> tuple[Resource, ...]:
    found = (Resource.of(one.name, CLUSTER, one) for one in local_clusters(view))
    return tuple(sorted(found, key=lambda one: one.name))


def _outbound(view: ProxyView, memo: Memo) -> Named:
    return _as_resources({one.name: one for one in outbound_listeners(view, memo)})


def _inbound(view: ProxyView) -> Named:
    return _as_resources({one.name: shut_out(one, view) for one in inbound_listeners(view)})


def _gateway(view: ProxyView) -> Named:
    return _as_resources({one.name: shut_out(one, view) for one in gateway_listeners(view)})


def _as_resources(found: Mapping[str, Listener]) -> Named:
    return {name: Resource.of(name, LISTENER, one) for name, one in sorted(found.items())}


def _routes(view: ProxyView, memo: Memo) -> Named:
    found = sorted(route_bodies(view, memo).items())
    return {name: Resource(name, ROUTES, content_version(body), body) for name, body in found}
