"""A client that applies, refuses at random and drops its connection always ends with what it should have."""

from __future__ import annotations

from collections import deque

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from artemon.xds.request import parse_delta, parse_sotw
from artemon.xds.resource import NO_RESOURCES, Resource, Resources, content_version
from artemon.xds.session import Session
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES, WILDCARD
from artemon.xds.wire import Bodies

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "c")
TYPES = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)
GOOD = (b"1", b"2")
BAD = (b"bad",)


def resource(type_url: str, name: str, body: bytes) -> Resource:
    return Resource(name, type_url, content_version(body), body)


class Client:
    """An Envoy in small: clusters make it ask for endpoints, listeners for routes; bad bodies are refused."""

    def __init__(self, *, delta: bool, telling: bool, held: dict | None = None) -> None:
        self.delta, self.telling = delta, telling
        self.held: dict[str, dict[str, bytes]] = held or {url: {} for url in TYPES}
        self.subscribed: dict[str, set[str]] = {}
        self.nonces: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.cold: set[str] = set()
        """Clusters that wait for their endpoints."""
        self.excused: dict[str, set[str]] = {url: set() for url in TYPES}
        """What may be sent although it is held."""
        self.out: deque[bytes] = deque()
        for url in (CLUSTER, LISTENER):
            self.ask(url, set())
        self.follow()

    def follow(self) -> None:
        for parent, child in ((CLUSTER, ENDPOINTS), (LISTENER, ROUTES)):
            wanted = set(self.held[parent])
            if wanted != self.subscribed.get(child, set()):
                self.ask(child, wanted)

    def ask(self, url: str, wanted: set[str], error: str | None = None) -> None:
        old = self.subscribed.get(url)
        if self.delta:
            message = discovery_pb2.DeltaDiscoveryRequest(
                type_url=url,
                resource_names_subscribe=sorted(wanted - (old or set())),
                resource_names_unsubscribe=sorted((old or set()) - wanted),
            )
            if old is None:
                for name, body in self.held[url].items():
                    message.initial_resource_versions[name] = content_version(name.encode() + b":" + body)
            else:
                self.excused[url] |= wanted - old
        else:
            message = discovery_pb2.DiscoveryRequest(
                type_url=url,
                resource_names=sorted(wanted),
                response_nonce=self.nonces.get(url, ""),
                version_info=self.versions.get(url, ""),
            )
        self.subscribed[url] = wanted
        self.out.append(message.SerializeToString())

    def take(self, data: bytes) -> None:
        kind = discovery_pb2.DeltaDiscoveryResponse if self.delta else discovery_pb2.DiscoveryResponse
        message = kind.FromString(data)
        url = message.type_url
        items = self.items(message)
        bad = sorted(name for name, body in items.items() if body in BAD)
        if self.delta:
            twice = {name for name, body in items.items() if self.held[url].get(name) == body}
            assert twice <= self.excused[url], "sent twice"
            self.excused[url] = (self.excused[url] - items.keys()) | (items.keys() if bad else set())
        if url == CLUSTER:
            self.excused[ENDPOINTS] |= items.keys()
        self.nonces[url] = message.nonce
        if not bad:
            self.apply(url, items, message)
        elif url in WILDCARD:
            self.apply(url, {name: body for name, body in items.items() if name not in bad}, None)
        self.answer(url, message, bad)
        self.follow()

    def items(self, message) -> dict[str, bytes]:
        if self.delta:
            assert all(item.version == content_version(item.resource.value) for item in message.resources)
            return {item.name: item.resource.value.partition(b":")[2] for item in message.resources}
        return {
            name.decode(): body
            for name, _, body in (item.value.partition(b":") for item in message.resources)
        }

    def apply(self, url: str, items: dict[str, bytes], message) -> None:
        held = self.held[url]
        if url == CLUSTER:
            self.cold |= {name for name, body in items.items() if held.get(name) != body}
        if url == ENDPOINTS:
            self.cold -= items.keys()
        held.update(items)
        if message is None:
            return
        gone = set(message.removed_resources) if self.delta else set()
        if not self.delta and url in WILDCARD:
            gone = held.keys() - items.keys()
        for name in gone:
            held.pop(name, None)
        self.prune()

    def prune(self) -> None:
        for parent, child in ((CLUSTER, ENDPOINTS), (LISTENER, ROUTES)):
            for name in self.held[child].keys() - self.held[parent].keys():
                del self.held[child][name]
        self.cold &= self.held[CLUSTER].keys()

    def answer(self, url: str, message, bad: list[str]) -> None:
        reason = f"cannot use {', '.join(bad) if self.telling else 'it'}" if bad else None
        if self.delta:
            reply = discovery_pb2.DeltaDiscoveryRequest(type_url=url, response_nonce=message.nonce)
        else:
            if not bad:
                self.versions[url] = message.version_info
            reply = discovery_pb2.DiscoveryRequest(
                type_url=url,
                response_nonce=message.nonce,
                resource_names=sorted(self.subscribed[url]),
                version_info=self.versions.get(url, ""),
            )
        if reason:
            reply.error_detail.message = reason
        self.out.append(reply.SerializeToString())


class Conversation(RuleBasedStateMachine):
    delta = True
    telling = True

    def __init__(self) -> None:
        super().__init__()
        self.desired = NO_RESOURCES
        self.bodies = Bodies()
        self.wanted: dict[str, dict[str, bytes]] = {url: {} for url in TYPES}
        self.wire: deque[bytes] = deque()
        self.sent: dict[tuple[str, str, bytes], int] = {}
        self.connect(None)

    def connect(self, held: dict | None) -> None:
        self.client = Client(delta=self.delta, telling=self.telling, held=held)
        self.session = Session(delta=self.delta)
        self.wire.clear()

    @rule(
        url=st.sampled_from((CLUSTER, LISTENER)),
        name=st.sampled_from(NAMES),
        body=st.sampled_from(GOOD + BAD),
    )
    def define(self, url: str, name: str, body: bytes) -> None:
        child = ENDPOINTS if url == CLUSTER else ROUTES
        self.wanted[url][name] = body
        self.wanted[child].setdefault(name, b"1")

    @rule(
        url=st.sampled_from((ENDPOINTS, ROUTES)),
        name=st.sampled_from(NAMES),
        body=st.sampled_from(GOOD + BAD),
    )
    def change(self, url: str, name: str, body: bytes) -> None:
        if name in self.wanted[url]:
            self.wanted[url][name] = body

    @rule(url=st.sampled_from((CLUSTER, LISTENER)), name=st.sampled_from(NAMES))
    def remove(self, url: str, name: str) -> None:
        self.wanted[url].pop(name, None)
        self.wanted[ENDPOINTS if url == CLUSTER else ROUTES].pop(name, None)

    @rule()
    def publish(self) -> None:
        items = {
            url: {name: resource(url, name, name.encode() + b":" + body) for name, body in named.items()}
            for url, named in self.wanted.items()
        }
        self.desired = Resources.of(items, previous=self.desired)

    @rule(patient=st.booleans())
    def push(self, patient: bool) -> None:
        for response in self.session.owed(self.desired, patient=patient):
            flight = [r for r in self.wire if r == response]
            assert not flight
            self.wire.append(self.bodies.encode(response, response.nonce, delta=self.delta))

    @rule()
    def client_reads(self) -> None:
        if self.wire:
            self.client.take(self.wire.popleft())

    @rule()
    def server_reads(self) -> None:
        if self.client.out:
            parse = parse_delta if self.delta else parse_sotw
            self.session.receive(parse(self.client.out.popleft())[0])

    @rule(keep=st.booleans())
    def drop_connection(self, keep: bool) -> None:
        self.connect(self.client.held if keep and self.delta else None)

    @rule()
    def converge(self) -> None:
        self.publish()
        for _ in range(100):
            self.push(patient=True)
            if not self.wire and not self.client.out:
                break
            while self.wire:
                self.client_reads()
            while self.client.out:
                self.server_reads()
        assert not self.wire, "the server never stops sending"
        assert self.session.settled
        self.check()

    def check(self) -> None:
        for url in TYPES:
            good = {name: body for name, body in self.wanted[url].items() if body not in BAD}
            held = {
                name: body.rpartition(b":")[2]
                for name, body in self.client.held[url].items()
                if name in self.wanted[url]
            }
            parent = {ENDPOINTS: CLUSTER, ROUTES: LISTENER}.get(url)
            if parent:
                good = {name: body for name, body in good.items() if name in self.client.held[parent]}
            assert {name: held.get(name) for name in good} == good
            assert not set(held.values()) & set(BAD)
            assert self.client.held[url].keys() <= self.wanted[url].keys()
        answerable = {name for name in self.client.cold if self.wanted[ENDPOINTS].get(name) in GOOD}
        assert not answerable, "changed clusters wait for endpoints"

    @invariant()
    def one_in_flight(self) -> None:
        kind = discovery_pb2.DeltaDiscoveryResponse if self.delta else discovery_pb2.DiscoveryResponse
        types = [kind.FromString(data).type_url for data in self.wire]
        assert len(types) == len(set(types))


class Silent(Conversation):
    telling = False


class WholeState(Conversation):
    delta = False


class SilentWholeState(Conversation):
    delta = False
    telling = False


for machine in (Conversation, Silent, WholeState, SilentWholeState):
    machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

TestDelta = Conversation.TestCase
TestDeltaSilentClient = Silent.TestCase
TestWholeState = WholeState.TestCase
TestWholeStateSilentClient = SilentWholeState.TestCase
