"""One configuration stream of Envoy's, joined with the view. Pure: requests in, responses out.

What nobody has told us yet is not asked of the session, which would answer that it does not exist: a new
Envoy waits then, instead of being configured with nothing.
"""

from __future__ import annotations

from dataclasses import replace

from artemon.xds.channel import Response
from artemon.xds.request import Request
from artemon.xds.session import Accepted, Event, Rejected, Session
from artemon.xds.types import WILDCARD
from proxyd.view import Sent, View


class Conversation:
    """One delta stream: tells the view what Envoy wants, takes and refuses.

    A new stream names its wishes little by little. Until `steady`, those of the one before stay in force.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._session = Session(delta=True)
        self._sent: dict[str, Sent] = {}
        self._asked: dict[str, frozenset[str]] = {}
        self._unknown: dict[str, frozenset[str]] = {}
        self._early: dict[str, Request] = {}

    def receive(self, request: Request) -> list[Event]:
        """What a request means. Raises TooMuch."""
        type_url = request.type_url
        if type_url in WILDCARD and not self._view.heard(type_url):
            self._early.setdefault(type_url, request)
            return []
        if type_url not in WILDCARD:
            request = self._named(request)
        events = self._session.receive(request)
        self._view.accepted(type_url, request.initial_versions)
        for event in events:
            if isinstance(event, Accepted):
                self._view.accepted(type_url, self._sent.pop(event.nonce, {}))
            elif isinstance(event, Rejected):
                self._sent.pop(event.nonce, None)
                self._view.refused(type_url, dict(event.resources), event.message)
        return events

    def owed(self, *, patient: bool = True) -> list[Response]:
        """What to send now. When Envoy has all, the view learns that."""
        self._catch_up()
        for type_url in self._by_name():
            self._view.let_go(type_url, self._asked.get(type_url, frozenset()))
        responses = self._session.owed(self._view.desired(), patient=patient)
        for response in responses:
            brought = {item.name: item.version for item in response.resources}
            self._sent[response.nonce] = brought | dict.fromkeys(response.removed, "")
        if self._session.settled:
            for type_url in self._session.types:
                self._view.in_step(type_url, self._names(type_url))
        return responses

    @property
    def settled(self) -> bool:
        """Whether Envoy has taken everything but what it refuses."""
        return self._session.settled

    @property
    def configured(self) -> bool:
        """Whether Envoy has its clusters and listeners."""
        return self._session.settled and set(self._session.types) >= WILDCARD

    def steady(self) -> None:
        """Envoy has been configured for a while: what it has not asked for, it does not want any more."""
        if self.configured:
            for type_url in self._by_name():
                self._view.want(type_url, self._asked.get(type_url, frozenset()))

    def _by_name(self) -> list[str]:
        return [url for url in self._view.types if url not in WILDCARD | self._view.own]

    def _named(self, request: Request) -> Request:
        """The part of a request that can be answered; the rest waits in `_unknown`."""
        type_url = request.type_url
        gone, new = frozenset(request.unsubscribe), frozenset(request.subscribe)
        self._asked[type_url] = (self._asked.get(type_url, frozenset()) - gone) | new
        self._view.want(type_url, (self._view.wanted(type_url) - gone) | new)
        known = self._view.known(type_url, new)
        self._unknown[type_url] = (self._unknown.get(type_url, frozenset()) - gone) | (new - known)
        return replace(request, subscribe=tuple(sorted(known)))

    def _catch_up(self) -> None:
        for type_url in [url for url in self._early if self._view.heard(url)]:
            self.receive(self._early.pop(type_url))
        for type_url, names in self._unknown.items():
            known = self._view.known(type_url, names)
            if known:
                self._unknown[type_url] = names - known
                self._session.receive(Request(type_url, subscribe=tuple(sorted(known))))

    def _names(self, type_url: str) -> frozenset[str] | None:
        subscription = self._session.subscription(type_url)
        return None if subscription is None or subscription.wildcard else subscription.names
