"""pilotd, proxyd and Envoy with two unreliable wires between them always end in agreement.

Envoy refuses some bodies and drops its connection; pilotd's stream breaks at any point. Whatever happened:
Envoy has what pilotd says, but for what it refuses, and every response of pilotd is answered.
"""

from __future__ import annotations

from collections import deque

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from artemon.xds.client import ClientSession
from artemon.xds.request import Request, parse_delta
from artemon.xds.resource import NO_RESOURCES, Resource, Resources
from artemon.xds.session import Session
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES, WILDCARD
from artemon.xds.wire import Bodies
from proxyd.conversation import Conversation
from proxyd.view import View

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "c")
CHILD = {CLUSTER: ENDPOINTS, LISTENER: ROUTES}
BAD = b"bad"
BODIES = Bodies()


class Envoy:
    """Clusters make it ask for endpoints, listeners for routes. `out` is what it says."""

    def __init__(self, held: dict[str, dict[str, Resource]]) -> None:
        self.held = {url: dict(held.get(url, {})) for url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES)}
        self.asked: dict[str, set[str]] = {}
        self.out: deque[Request] = deque()
        for url in CHILD:
            versions = {name: item.version for name, item in self.held[url].items()}
            self.out.append(Request(url, initial_versions=versions))
        self.follow()

    def follow(self) -> None:
        for parent, child in CHILD.items():
            wanted, before = set(self.held[parent]), self.asked.get(child, set())
            if wanted == before:
                continue
            first = child not in self.asked
            self.asked[child] = wanted
            for name in before - wanted:
                self.held[child].pop(name, None)
            versions = {n: i.version for n, i in self.held[child].items()} if first else {}
            request = Request(
                child,
                subscribe=tuple(wanted - before),
                unsubscribe=tuple(before - wanted),
                initial_versions=versions,
            )
            self.out.append(request)

    def take(self, response) -> None:
        held = self.held[response.type_url]
        bad = [item.name for item in response.resources if item.body == BAD]
        if not bad or response.type_url in WILDCARD:
            known = self.asked.get(response.type_url, NAMES)
            fresh = [item for item in response.resources if item.body != BAD and item.name in known]
            held.update({item.name: item for item in fresh})
            for name in response.removed:
                held.pop(name, None)
        error = f"cannot use {', '.join(bad)}" if bad else None
        self.out.append(Request(response.type_url, nonce=response.nonce, error=error))
        self.follow()


class Mesh(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.wanted: dict[str, dict[str, bytes]] = {url: {} for url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES)}
        self.desired = NO_RESOURCES
        self.view = View({}, never_empty=())
        self.connect_pilot()
        self.connect_envoy(keep=False)

    @rule()
    def connect_pilot(self) -> None:
        self.pilot = Session(delta=True)
        self.view.restart()
        self.client = ClientSession(base_pb2.Node(id="x"), self.view.held())
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()

    @rule(keep=st.booleans())
    def connect_envoy(self, keep: bool) -> None:
        self.envoy = Envoy(self.envoy.held if keep else {})
        self.conversation = Conversation(self.view)
        self.wire: deque = deque()

    @rule(
        url=st.sampled_from(tuple(CHILD)),
        name=st.sampled_from(NAMES),
        body=st.sampled_from((b"1", b"2", BAD, None)),
    )
    def define(self, url: str, name: str, body: bytes | None) -> None:
        if body is None:
            self.wanted[url].pop(name, None)
            self.wanted[CHILD[url]].pop(name, None)
        else:
            self.wanted[url][name] = body
            self.wanted[CHILD[url]].setdefault(name, b"1")
        self.publish()

    @rule(
        url=st.sampled_from((ENDPOINTS, ROUTES)),
        name=st.sampled_from(NAMES),
        body=st.sampled_from((b"1", b"2", BAD)),
    )
    def change(self, url: str, name: str, body: bytes) -> None:
        if name in self.wanted[url]:
            self.wanted[url][name] = body
            self.publish()

    def publish(self) -> None:
        items = {
            url: {name: Resource(name, url, f"v{body!r}", body) for name, body in named.items()}
            for url, named in self.wanted.items()
        }
        self.desired = Resources.of(items, previous=self.desired)

    def pilot_step(self) -> bool:
        moved = bool(self.up)
        while self.up:
            self.pilot.receive(parse_delta(self.up.popleft())[0])
        for response in self.pilot.owed(self.desired):
            self.down.append(BODIES.encode(response, response.nonce, delta=True))
            moved = True
        return moved

    def upstream_step(self) -> bool:
        moved = bool(self.down)
        if self.down:
            message = discovery_pb2.DeltaDiscoveryResponse.FromString(self.down.popleft())
            self.view.take(self.client.receive(message))
        requests = [
            self.client.refuse(a.type_url, a.nonce, a.error)
            if a.error
            else self.client.accept(a.type_url, a.nonce)
            for a in self.view.answers()
        ]
        requests += [
            request
            for url in self.view.types
            if (request := self.client.want(url, self.view.wanted(url))) is not None
        ]
        self.up.extend(request.SerializeToString() for request in requests)
        return moved or bool(requests)

    def downstream_step(self) -> bool:
        moved = bool(self.envoy.out)
        if self.envoy.out:
            self.conversation.receive(self.envoy.out.popleft())
        responses = self.conversation.owed()
        self.wire.extend(responses)
        return moved or bool(responses)

    def envoy_step(self) -> bool:
        moved = bool(self.wire)
        if self.wire:
            self.envoy.take(self.wire.popleft())
        return moved

    @rule(part=st.sampled_from(("pilot", "upstream", "downstream", "envoy")))
    def step(self, part: str) -> None:
        getattr(self, f"{part}_step")()

    @rule()
    def steady(self) -> None:
        self.conversation.steady()

    @rule()
    def agree(self) -> None:
        self.talk()
        self.steady()
        self.talk()
        self.check()

    def talk(self) -> None:
        steps = (self.pilot_step, self.upstream_step, self.downstream_step, self.envoy_step)
        for _ in range(200):
            if not sum(step() for step in steps):
                return
        raise AssertionError("they never stop talking")

    def check(self) -> None:
        assert self.pilot.settled, "a response of pilotd is not answered"
        for url in (CLUSTER, LISTENER):
            self.same(url, set(self.wanted[url]))
            self.same(CHILD[url], set(self.envoy.held[url]) & set(self.wanted[CHILD[url]]))
            assert self.view.good()[url].keys() == self.envoy.held[url].keys()

    def same(self, url: str, names: set[str]) -> None:
        held = self.envoy.held[url]
        assert held.keys() <= names
        for name in names:
            wanted = self.wanted[url][name]
            if wanted != BAD:
                assert held[name].body == wanted, (url, name)
            else:
                assert name not in held or held[name].body != BAD


TestMesh = Mesh.TestCase
TestMesh.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
