"""One client's xDS conversation, without I/O: requests in, events out; desired state in, responses out.

A reconciler: what the client should have minus what it has. Requests and pushes take the same path, and
both protocol variants. Order (make before break): clusters with their endpoints, then listeners and
routes once the clusters are in use, and what nobody refers to any more is removed last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from artemon.xds.channel import Channel, Response
from artemon.xds.request import MAX_NAMES, Request, TooMuch
from artemon.xds.resource import Resources, in_push_order
from artemon.xds.subscription import EVERYTHING, Subscription
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES, WILDCARD

_USED = (CLUSTER, ENDPOINTS)
_USERS = (LISTENER, ROUTES)
"""Types whose resources refer to those of the types above."""
MAX_TYPES = 32
"""Types that one client may subscribe to."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The client asked for this, of one type, for the first time or anew."""

    type_url: str
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client took a response (ACK)."""

    type_url: str
    version: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The client refused a response (NACK). resources: the culprits and their versions, as far as known."""

    type_url: str
    version: str
    nonce: str
    message: str
    resources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Expired:
    """An answer to a response that is not in flight; ignored."""

    type_url: str
    nonce: str


Event = Subscribed | Accepted | Rejected | Expired


def _own(names: frozenset[str]) -> frozenset[str]:
    return names


class Session:
    """One stream. delta: the incremental variant. share: gives an equal set of names that others have too.

    The endpoints of a cluster carry the cluster's name: they are owed again after it (Envoy warms a changed
    cluster until it gets them, 15 s at worst).
    """

    def __init__(self, *, delta: bool, share: Callable[[frozenset[str]], frozenset[str]] = _own) -> None:
        self.delta = delta
        self._share = share
        self._channels: dict[str, Channel] = {}
        self._ordered: tuple[Channel, ...] = ()
        self.types: tuple[str, ...] = ()
        """The types that the client asked for, in push order."""
        self._count = 0
        self._warming: set[str] = set()

    def subscription(self, type_url: str) -> Subscription | None:
        """What the client wants of a type; None when it never asked."""
        channel = self._channels.get(type_url)
        return channel.subscription if channel else None

    @property
    def settled(self) -> bool:
        """Whether, at the last `owed`, the client had taken everything but what it refuses."""
        return not any(channel.in_flight or channel.waiting for channel in self._ordered)

    @property
    def refusing(self) -> frozenset[str]:
        """The types of which the client refuses something that it should have."""
        return frozenset(url for url, channel in self._channels.items() if len(channel.quarantine))

    def receive(self, request: Request) -> list[Event]:
        """What a request means. Raises TooMuch when the client subscribes to more than the limits allow."""
        channel = self._channels.get(request.type_url)
        if channel is None:
            if len(self._channels) >= MAX_TYPES:
                raise TooMuch(f"more than {MAX_TYPES} types on one stream")
            channel = self._channels[request.type_url] = Channel(request.type_url, delta=self.delta)
            self.types = tuple(in_push_order(self._channels))
            self._ordered = tuple(self._channels[url] for url in self.types)
            return self._subscribe(channel, request, first=True)
        if not self.delta and request.nonce != channel.last_nonce:
            return [Expired(request.type_url, request.nonce)]
        events = self._answer(channel, request) if request.nonce else []
        if not self.delta or request.subscribe or request.unsubscribe:
            events += self._subscribe(channel, request, first=False)
        return events

    def owed(self, desired: Resources, *, patient: bool = True) -> list[Response]:
        """The responses to send now. Nothing is owed twice.

        patient: listeners and routes wait until the clusters sent before them are in use. A caller that has
        waited long enough passes False.
        """
        responses: list[Response] = []
        for channel in self._ordered:
            if channel.in_step(desired[channel.type_url]):
                channel.waiting = False
            elif patient and channel.type_url in _USERS and self._in_flight(*_USED):
                channel.waiting = True
            else:
                self._offer(channel, desired, responses, may_remove=channel.type_url not in _USED)
        if not any(channel.waiting for channel in self._ordered):
            return responses
        unfinished = any(channel.waiting for channel in self._ordered if channel.type_url in _USERS)
        if not patient or not (unfinished or self._in_flight(*_USERS)):
            self._remove(desired, responses)
        return responses

    def _remove(self, desired: Resources, responses: list[Response]) -> None:
        """Clusters that no route refers to any more, then their endpoints."""
        for type_url in _USED:
            channel = self._channels.get(type_url)
            if channel is None:
                continue
            if channel.waiting and not channel.in_flight:
                self._offer(channel, desired, responses, may_remove=True)
            if channel.in_flight or channel.waiting:
                return

    def _offer(
        self, channel: Channel, desired: Resources, responses: list[Response], *, may_remove: bool
    ) -> None:
        response = channel.offer(desired[channel.type_url], f"{self._count:08x}", may_remove=may_remove)
        if response is None:
            return
        self._count += 1
        responses.append(response)
        if channel.type_url == CLUSTER:
            endpoints = self._channels.get(ENDPOINTS)
            if endpoints is None:
                self._warming.update(response.changed)
            else:
                endpoints.owe(response.changed)

    def _in_flight(self, *types: str) -> bool:
        return any(self._channels[url].in_flight for url in types if url in self._channels)

    def _subscribe(self, channel: Channel, request: Request, *, first: bool) -> list[Event]:
        old = channel.subscription
        silent = channel.type_url in WILDCARD
        if self.delta:
            wanted = old.changed(request.subscribe, request.unsubscribe, first=first, may_be_silent=silent)
        else:
            wanted = old.replaced(request.names, first=first, may_be_silent=silent)
        if len(wanted.names) > MAX_NAMES:
            raise TooMuch(f"a subscription to {len(wanted.names)} names; at most {MAX_NAMES} are taken")
        again = () if first else tuple(name for name in request.subscribe if name != EVERYTHING)
        if wanted == old and not again and not first:
            return []
        wanted = wanted.with_names(self._share(wanted.names))
        channel.subscribe(wanted, again=again)
        if first:
            self._resume(channel, request)
        return [Subscribed(channel.type_url, wanted)]

    def _resume(self, channel: Channel, request: Request) -> None:
        """What the client brought along from an earlier stream."""
        if self.delta:
            channel.resume(request.initial_versions)
        elif channel.type_url in WILDCARD:
            channel.resume_version(request.version)
        if channel.type_url == ENDPOINTS:
            channel.owe(self._warming)
            self._warming.clear()

    @staticmethod
    def _answer(channel: Channel, request: Request) -> list[Event]:
        if request.error is None:
            response = channel.accept(request.nonce)
            if response is not None:
                return [Accepted(channel.type_url, response.version, request.nonce)]
        else:
            refused = channel.refuse(request.nonce, request.error)
            if refused is not None:
                response, culprits = refused
                versions = {item.name: item.version for item in response.resources}
                named = tuple((name, versions[name]) for name in culprits)
                return [Rejected(channel.type_url, response.version, request.nonce, request.error, named)]
        if request.nonce == channel.last_nonce and request.error is None:
            return []
        return [Expired(channel.type_url, request.nonce)]
