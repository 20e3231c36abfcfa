"""Views to resources, each made once for all proxies that share what it is made from.

What a part of the configuration may be made from is what it is given: listeners see, of instances, the
proxy's own ones and those of services without discovery (`resolution: NONE`), routes see none, and routes of
sidecars see of their proxy only what `_route_client` lists. So the arguments are the key of the cache.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter, is_not
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.message import Message

from artemon.model.proxy import Proxy, ProxyType
from artemon.model.service import Endpoint, Resolution, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import MtlsMode, ProxyView
from artemon.translate.clusters import locality_matters
from artemon.translate.listeners import listeners
from artemon.translate.local_clusters import local_clusters
from artemon.translate.outbound import Endpoints, Named, Outbound, OutboundScope
from artemon.translate.routes import routes
from artemon.translate.routes.rules import asked_labels
from artemon.xds.resource import NO_RESOURCES, Resource, Resources, State
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES


class Translator:
    """Translates views and remembers parts. `lifetime`: turns (snapshots) that an unused part is kept."""

    def __init__(self, *, lifetime: int = 32) -> None:
        self._memo = Memo(lifetime=lifetime)

    def turn(self) -> None:
        """A new snapshot will be translated: forget parts that have not been used for long."""
        self._memo.turn()

    def translate(self, view: ProxyView, previous: Resources | None = None) -> Resources:
        """All resources of the proxy. With `previous`, what it had before, unchanged types keep their
        state, and changed ones know what changed."""
        before = previous or NO_RESOURCES
        slot = self._memo.get(_Slot, *_parts(view), by=(view.trust_domain,))
        if slot.scope is None:
            slot.scope = self._scope(view)
        outbound = slot.scope.outbound(view.endpoints)
        own = slot.own if slot.own is not None and not slot.hosts else self._own(view, slot)
        if slot.made_of[0] is not outbound.clusters or slot.made_of[1] is not own:
            slot.made_of, slot.states = (outbound.clusters, own), self._states(outbound, own, before)
        instances = self._memo.get(_Instances, outbound).state(before[ENDPOINTS])
        return Resources({**slot.states, ENDPOINTS: instances})

    def _states(self, outbound: Outbound, own: _Own, before: Resources) -> dict[str, State]:
        shared = self._memo.get
        return {
            CLUSTER: shared(_Shared, outbound.clusters, own.clusters).state(before[CLUSTER]),
            LISTENER: shared(_Shared, own.listeners).state(before[LISTENER]),
            ROUTES: shared(_Shared, own.routes).state(before[ROUTES]),
        }

    def _scope(self, view: ProxyView) -> OutboundScope:
        memo = self._memo
        by_place = memo.get(locality_matters, view.destinations, view.mesh)
        by = (view.proxy.locality if by_place else "",)
        return memo.get(OutboundScope, view.services, view.destinations, view.mesh, memo, by=by)

    def _own(self, view: ProxyView, slot: _Slot) -> _Own:
        """What is made for this proxy. While nothing but instances changed, only those that it may be made
        from are looked at."""
        seen = [view.endpoints.get(host, ()) for host in slot.hosts]
        if slot.own is None or any(map(is_not, seen, slot.seen)):
            slot.own, slot.seen = self._made(view, dict(zip(slot.hosts, seen, strict=True))), seen
        return slot.own

    def _made(self, view: ProxyView, endpoints: Endpoints) -> _Own:
        """Of services that are found by discovery, only the proxy's own instance is looked at."""
        of_own = {
            host: tuple(one for one in found if _is_behind(view.proxy, one))
            for host, found in endpoints.items()
            if view.services[host].resolution is not Resolution.NONE
        }
        seen = self._restricted(view, {**endpoints, **of_own})
        by = (view.trust_domain,)
        local = self._memo.get(_local, *seen, by=by)
        return _Own(
            clusters=self._memo.get(_named, by=local),
            listeners=self._memo.get(_listeners, *seen, by=by),
            routes=self._routes(view),
        )

    def _routes(self, view: ProxyView) -> Named:
        if view.proxy.type is ProxyType.SIDECAR:
            asked = self._memo.get(asked_labels, view.virtual_services)
            client = self._memo.get(_route_client, by=_route_facts(view.proxy, asked))
            view = replace(view, proxy=client, own=(), inbound_mtls=MtlsMode())
        seen = self._restricted(view, {})
        return self._memo.get(_routes, *seen, self._memo, by=(view.trust_domain,))

    def _restricted(self, view: ProxyView, endpoints: Endpoints) -> tuple[Any, ...]:
        """The parts of `view` by identity, with these instances alone."""
        hosts = tuple(endpoints)
        instances = [self._memo.get(_sequence, *endpoints[host]) for host in hosts]
        only = self._memo.get(_mapping, *instances, by=hosts)
        mode = self._memo.get(_mode, by=(view.inbound_mtls.default, *view.inbound_mtls.ports.items()))
        own = self._memo.get(_sequence, *view.own)
        gateways = self._memo.get(_sequence, *view.gateways)
        return (
            view.proxy,
            view.mesh,
            view.services,
            only,
            view.virtual_services,
            gateways,
            view.destinations,
            own,
            view.sidecar,
            mode,
        )


_MESSAGES: dict[str, type[Message]] = {
    CLUSTER: Cluster,
    ENDPOINTS: ClusterLoadAssignment,
    LISTENER: Listener,
    ROUTES: RouteConfiguration,
}


def translate(view: ProxyView) -> Resources:
    """All resources of one proxy, by type URL and name."""
    return Translator().translate(view)


def messages(view: ProxyView) -> Mapping[str, Mapping[str, Message]]:
    """The same as messages."""
    states = translate(view)
    return {
        url: {name: message.FromString(one.body) for name, one in states[url].items.items()}
        for url, message in _MESSAGES.items()
    }


def _mapping(*parts: Any) -> Endpoints:
    half = len(parts) // 2
    return dict(zip(parts[half:], parts[:half], strict=True))


def _sequence(*parts: Any) -> tuple[Any, ...]:
    return parts


def _mode(default: Any, *ports: Any) -> MtlsMode:
    return MtlsMode(default, dict(ports))


def _named(*resources: Resource) -> Named:
    return {one.name: one for one in resources}


def _local(*parts: Any) -> tuple[Resource, ...]:
    found = (Resource.of(one.name, CLUSTER, one) for one in local_clusters(ProxyView(*parts)))
    return tuple(sorted(found, key=lambda one: one.name))


def _listeners(*parts: Any) -> Named:
    found = listeners(ProxyView(*parts))
    return {name: Resource.of(name, LISTENER, one) for name, one in sorted(found.items())}


def _routes(*parts: Any) -> Named:
    *seen, memo, trust_domain = parts
    found = routes(ProxyView(*(*seen, trust_domain)), memo)
    return {name: Resource.of(name, ROUTES, one) for name, one in sorted(found.items())}


def _route_facts(proxy: Proxy, asked: frozenset[str]) -> tuple[Hashable, ...]:
    labels = tuple(sorted((name, value) for name, value in proxy.labels.items() if name in asked))
    wants_proxy = bool(proxy.http_proxy_port)
    return (proxy.type, proxy.namespace, proxy.dns_domain, proxy.intercepts, wants_proxy, labels)


def _route_client(kind: ProxyType, namespace: str, dns_domain: str, *facts: Any) -> Proxy:
    """A stand-in for all proxies that routes cannot tell apart."""
    intercepts, wants_proxy, labels = facts
    return Proxy(
        id=f"~~~{dns_domain}",
        type=kind,
        name="",
        namespace=namespace,
        labels=dict(labels),
        intercepts=intercepts,
        http_proxy_port=int(wants_proxy),
    )


_OTHERWISE = ("endpoints", "trust_domain", "envoy_filters")
_PARTS = tuple(one.name for one in fields(ProxyView) if one.name not in _OTHERWISE)
_parts = attrgetter(*_PARTS)


@dataclass(frozen=True, slots=True)
class _Own:
    """What one proxy has of its own."""

    clusters: Named
    listeners: Named
    routes: Named


class _Slot:
    """What was made last for a view without instances, and the instances that it was made from."""

    def __init__(self, *parts: Any) -> None:
        view = dict(zip(_PARTS, parts, strict=False))
        services: Mapping[str, Service] = view["services"]
        own = [service.host for service in view["own"] if service.host in services]
        undiscovered = [host for host, one in services.items() if one.resolution is Resolution.NONE]
        self.hosts = tuple(dict.fromkeys((*own, *undiscovered)))
        self.seen: list[tuple[Endpoint, ...]] = []
        self.own: _Own | None = None
        self.scope: OutboundScope | None = None
        self.made_of: tuple[Named | None, _Own | None] = (None, None)
        self.states: dict[str, State] = {}


class _Shared:
    """The state of sets of resources, one for all who have them."""

    def __init__(self, *parts: Named) -> None:
        self._parts = parts
        self._state: State | None = None

    def state(self, before: State) -> State:
        """The state, as a successor of `before` for the first who asks."""
        if self._state is None:
            items = self._parts[0] if len(self._parts) == 1 else {**self._parts[0], **self._parts[1]}
            self._state = before.successor(items)
        return self._state


class _Instances:
    """The state of the instances in a scope, one for all who see them."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._state: State | None = None

    def state(self, before: State) -> State:
        """The state, as a successor of `before` for the first who asks."""
        if self._state is None:
            among = self._outbound.changed if before.items is self._outbound.older else None
            self._state = before.successor(self._outbound.endpoints, among=among)
        return self._state


def _is_behind(proxy: Proxy, endpoint: Endpoint) -> bool:
    return endpoint.address in proxy.ip_addresses or endpoint.node == proxy.id
