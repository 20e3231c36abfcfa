"""Views to resources, each made once for all proxies that share what it is made from: the arguments are the
key of the cache (`artemon.translate.own`, `artemon.translate.outbound`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import attrgetter, is_not
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.message import Message

from artemon.model.service import Endpoint, Resolution, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate.gateways import passes_on
from artemon.translate.localities import preferences, standpoint_of
from artemon.translate.name_table import NameStates
from artemon.translate.outbound import Named, Outbound, OutboundScope
from artemon.translate.own import Own, own_parts
from artemon.translate.patches import with_patches
from artemon.translate.start import Start, start_of
from artemon.translate.targets import Client
from artemon.xds.resource import NO_RESOURCES, Resources, State
from artemon.xds.types import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, NAMES, ROUTES, START


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
        slot = self._memo.get(_Slot, *_parts(view), by=(view.trust_domain, view.bans, view.drain))
        if slot.scope is None:
            slot.scope = self._scope(view)
            slot.hosts = self._hosts(view)
        outbound = slot.scope.outbound(view.endpoints)
        own = slot.own if slot.own is not None and not slot.hosts else self._own(view, slot)
        if slot.made_of[0] is not outbound.clusters or slot.made_of[1] is not own:
            slot.made_of, slot.states = (outbound.clusters, own), self._states(outbound, own, before)
        instances = self._memo.get(_Instances, outbound).state(before[ENDPOINTS])
        start = self._start(view, slot)
        others = {START: start.state(before[START]), **self._names(view, before)}
        made = Resources({**slot.states, ENDPOINTS: instances, **others}, rejected=tuple(start.rejected))
        return with_patches(made, view, self._memo, before=before) if view.envoy_filters else made

    def _start(self, view: ProxyView, slot: _Slot) -> Start:
        """What the agent is told; of what it is made from, only patches are not in the slot's key."""
        if slot.start is None or slot.patches is not view.envoy_filters:
            slot.start, slot.patches = start_of(view, self._memo), view.envoy_filters
        return slot.start

    def _states(self, outbound: Outbound, own: Own, before: Resources) -> dict[str, State]:
        shared = self._memo.get
        return {
            CLUSTER: shared(_Shared, outbound.clusters, own.clusters).state(before[CLUSTER]),
            LISTENER: shared(_Shared, own.listeners).state(before[LISTENER]),
            ROUTES: shared(_Shared, own.routes).state(before[ROUTES]),
        }

    def _names(self, view: ProxyView, before: Resources) -> dict[str, State]:
        if not view.proxy.captures_dns:
            return {}
        return {NAMES: self._memo.get(NameStates, view.services).state(view.endpoints, before[NAMES])}

    def _scope(self, view: ProxyView) -> OutboundScope:
        memo = self._memo
        told = memo.get(preferences, view.destinations, view.mesh, memo)
        client = Client(standpoint_of(view.proxy, told), unopened=passes_on(view.gateways))
        return memo.get(OutboundScope, view.services, view.destinations, view.mesh, memo, by=(client,))

    def _hosts(self, view: ProxyView) -> tuple[str, ...]:
        """The services whose instances parts of the proxy's own may be made from."""
        own = (service.host for service in view.own if service.host in view.services)
        return tuple(dict.fromkeys((*own, *self._memo.get(_undiscovered, view.services))))

    def _own(self, view: ProxyView, slot: _Slot) -> Own:
        """What is made for this proxy. While nothing but instances changed, only those that it may be made
        from are looked at."""
        seen = [view.endpoints.get(host, ()) for host in slot.hosts]
        if slot.own is None or any(map(is_not, seen, slot.seen)):
            slot.own = own_parts(view, dict(zip(slot.hosts, seen, strict=True)), self._memo)
            slot.seen = seen
        return slot.own


_MESSAGES: dict[str, type[Message]] = {
    CLUSTER: Cluster,
    ENDPOINTS: ClusterLoadAssignment,
    LISTENER: Listener,
    ROUTES: RouteConfiguration,
    EXTENSION: TypedExtensionConfig,
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
        if url in tuple(states)
    }


_OTHERWISE = ("endpoints", "trust_domain", "envoy_filters", "bans", "revoked", "drain")
_PARTS = tuple(one.name for one in fields(ProxyView) if one.name not in _OTHERWISE)
_parts = attrgetter(*_PARTS)


def _undiscovered(services: Mapping[str, Service]) -> tuple[str, ...]:
    return tuple(host for host, one in services.items() if one.resolution is Resolution.NONE)


class _Slot:
    """What was made last for a view without instances, and the instances that it was made from."""

    def __init__(self, *_: Any) -> None:
        self.hosts: tuple[str, ...] = ()
        self.seen: list[tuple[Endpoint, ...]] = []
        self.own: Own | None = None
        self.scope: OutboundScope | None = None
        self.start: Start | None = None
        self.patches: Sequence[object] = ()
        self.made_of: tuple[Named | None, Own | None] = (None, None)
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
