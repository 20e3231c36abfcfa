"""The stream to pilotd: subscribes for Envoy, brings what pilotd says to the view, answers when Envoy has."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from artemon.backoff import Backoff
from artemon.daemon.identity_files import Identity
from artemon.daemon.identity_tls import channel_options, grpc_channel_credentials
from artemon.log import Log
from artemon.model.plaintext import PlaintextReport
from artemon.model.service import Health
from artemon.xds.client import ClientSession
from artemon.xds.types import CALLERS, HEALTH, LEAVING, SHORT
from proxyd.bells import Bells
from proxyd.metrics import Metrics
from proxyd.reach import CONNECT_SECONDS, Connect, Lost, reach, ready
from proxyd.view import View

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
STEADY_SECONDS = 2.0
FIRST_SECONDS = 0.1
"""The longest wait before the first new try."""
HOME_SECONDS = 10.0
"""About how often the pilotd of one's choice is looked for, while another one serves."""
MAX_RESPONSE = 64 * 1024 * 1024
ASK_MS = 900
"""Silence after which pilotd is asked whether it lives; gRPC asks once a second at most."""
SILENCE_MS = 500
"""How long pilotd may take to answer that. Its threads of gRPC answer, whatever its Python does: on two cores
with a load of 11 and a busy interpreter, every answer came within 150 ms."""
OPTIONS = (
    # the machine of a pilotd that dies says nothing: with what it takes to be elsewhere, that is under 2 s
    ("grpc.keepalive_time_ms", ASK_MS),
    ("grpc.keepalive_timeout_ms", SILENCE_MS),
    ("grpc.http2.ping_timeout_ms", SILENCE_MS),  # a frozen pilotd, whose kernel acknowledges
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),  # or the back-off of an earlier channel would hold for this one
    ("grpc.max_receive_message_length", MAX_RESPONSE),
)

Call = grpc.aio.StreamStreamCall[Any, Any]


def mesh_channel(address: str, identity: Identity) -> grpc.aio.Channel:
    """A channel to the pilotd at `address` that shows `identity`, and that no other daemon can answer."""
    options = [*channel_options("pilotd"), *OPTIONS]
    return grpc.aio.secure_channel(address, grpc_channel_credentials(identity), options=options)


class _GoingHome(Exception):
    """The pilotd of one's choice is there again."""


def by_preference(addresses: Iterable[str], node: str) -> tuple[str, ...]:
    """The addresses in the order in which this node prefers them: as good as random, and always the same."""
    return tuple(sorted(addresses, key=lambda one: sha256(f"{node} {one}".encode()).digest()))


class Upstream:
    """Keeps one stream to one of several pilotds. `moved` rings when the view wants or has answered more.

    Each proxy has a pilotd of its own choice, so that many proxies spread evenly, and goes back to it when it
    is there again (rendezvous hashing: everyone agrees without asking).
    """

    def __init__(
        self,
        addresses: tuple[str, ...],
        node: base_pb2.Node,
        view: View,
        *,
        changed: Bells,
        moved: Bells,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._addresses = by_preference(addresses, node.id)
        self._leaving = self._takes_requests = False
        self._callers: PlaintextReport | None = None
        self._callers_told = False
        self._health, self._told = Health.HEALTHY, Health.HEALTHY
        self._node = node
        self._view = view
        self._changed = changed
        self._moved = moved
        self._log = log
        self._metrics = metrics
        self._backoff = Backoff(first=FIRST_SECONDS, most=3.0)
        self._patience = Backoff(first=HOME_SECONDS, most=3 * HOME_SECONDS)
        self._complained = False
        self._connected = False
        self._silent_since = time.monotonic()

    @property
    def connected(self) -> bool:
        """Whether pilotd answers."""
        return self._connected

    def silence(self) -> float:
        """Seconds since pilotd was last connected; 0 while it is."""
        return 0.0 if self._connected else time.monotonic() - self._silent_since

    async def run(self, connect: Connect, renewed: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled. `renewed` returns when the identity is a new one: then the stream is made anew."""
        turn = 0
        while self._addresses:
            order = [*self._addresses[turn:], *self._addresses[:turn]]
            address, going_home = order[0], False
            try:
                async with _open(connect, order) as (address, call), asyncio.TaskGroup() as tasks:
                    self._view.restart()
                    session = ClientSession(self._introduction(), self._view.held())
                    self._callers_told = False
                    tasks.create_task(self._renewal(renewed))
                    tasks.create_task(self._steady(address))
                    tasks.create_task(self._homesick(connect, address))
                    tasks.create_task(self._read(call, session, address))
                    tasks.create_task(self._write(call, session))
            except* _GoingHome:
                going_home = True
            except* _FAILURES as group:
                self._lost(address, _reason(group))
            if going_home:
                self._log.info("goes back to the pilotd of its choice", address=self._addresses[0])
                turn = 0
                continue
            turn = (self._addresses.index(address) + 1) % len(self._addresses)
            await asyncio.sleep(self._backoff.next(random.random()))  # noqa: S311

    def _up(self, address: str) -> None:
        if not self._connected:
            self._connected, self._complained = True, False
            self._backoff.reset()
            if address == self._addresses[0]:
                self._patience.reset()
            self._log.info("pilotd connected", address=address)
            self._metrics.connected.set(1)

    def _lost(self, address: str, reason: str) -> None:
        counter = self._metrics.lost if self._connected else self._metrics.failures
        counter.inc()
        if self._connected:
            self._metrics.confirmed.set_to_current_time()
        say = self._log.debug if self._complained else self._log.warning
        say("pilotd lost" if self._connected else "pilotd does not answer", address=address, reason=reason)
        if self._connected:
            self._silent_since = time.monotonic()
        self._complained, self._connected = True, False
        self._metrics.connected.set(0)

    async def _steady(self, address: str) -> None:
        """A pilotd that has nothing to say says nothing: a stream that is not refused is a good one."""
        await asyncio.sleep(STEADY_SECONDS)
        self._up(address)

    async def _homesick(self, connect: Connect, address: str) -> None:
        """When served by another pilotd than the one of its choice: end once that one can be reached."""
        home = self._addresses[0]
        while address != home:
            await asyncio.sleep(HOME_SECONDS / 2 + self._patience.next(random.random()))  # noqa: S311
            channel = connect(home)
            try:
                await asyncio.wait_for(ready(channel), CONNECT_SECONDS)
            except (TimeoutError, Lost):
                continue
            finally:
                await channel.close(None)
            raise _GoingHome

    def report(self, callers: PlaintextReport) -> None:
        """Tell pilotd, and every pilotd that comes after it."""
        self._callers, self._callers_told = callers, False
        self._moved.ring()

    def ready(self) -> None:
        """Envoy takes requests: pilotd may send some here."""
        self._takes_requests = True
        self._moved.ring()

    def _introduction(self) -> base_pb2.Node:
        """Who we are, and how we do: a new stream does not change that."""
        node = base_pb2.Node()
        node.CopyFrom(self._node)
        node.metadata.fields["ARTEMON_HEALTH"].string_value = self._feeling.value
        self._told = self._feeling
        return node

    @property
    def _feeling(self) -> Health:
        """Nobody is healthy whose Envoy takes no requests yet."""
        return self._health if self._takes_requests else Health.UNHEALTHY

    def feel(self, health: Health) -> None:
        """Tell pilotd how our workload does."""
        self._health = health
        self._moved.ring()

    def leave(self) -> None:
        """Tell pilotd that this workload is about to go, so that it gets no more requests."""
        self._leaving = True
        self._moved.ring()

    async def _renewal(self, renewed: Callable[[], Awaitable[None]]) -> None:
        await renewed()
        raise Lost("the certificate was renewed")

    async def _read(self, call: Call, session: ClientSession, address: str) -> None:
        async for response in call:
            self._up(address)
            self._metrics.responses.inc()
            self._metrics.confirmed.set_to_current_time()
            refusal = self._view.take(session.receive(response))
            if refusal:
                kind = SHORT.get(response.type_url, response.type_url)
                self._log.error("configuration of pilotd held back", type=kind, reason=refusal)
            self._changed.ring()
            self._moved.ring()
        raise Lost(f"the stream ended: {await call.details() or 'no reason given'}")

    async def _write(self, call: Call, session: ClientSession) -> None:
        with self._moved.listen() as wake:
            while True:
                wake.clear()
                for request in self._requests(session):
                    self._metrics.requests.inc()
                    await call.write(request)
                await wake.wait()

    def _requests(self, session: ClientSession) -> list[discovery_pb2.DeltaDiscoveryRequest]:
        wants = [session.want(url, self._view.wanted(url)) for url in self._view.types]
        answers = [
            session.refuse(answer.type_url, answer.nonce, answer.error)
            if answer.error
            else session.accept(answer.type_url, answer.nonce)
            for answer in self._view.answers()
        ]
        told = []
        if self._callers is not None and not self._callers_told and session.introduced:
            text = self._callers.encode()
            told = [discovery_pb2.DeltaDiscoveryRequest(type_url=CALLERS, resource_names_subscribe=[text])]
            self._callers_told = True
        leaving = [discovery_pb2.DeltaDiscoveryRequest(type_url=LEAVING)] if self._leaving else []
        self._leaving = False
        if self._told is not self._feeling and session.introduced:
            self._told = self._feeling
            name = [self._feeling.value]
            told.append(discovery_pb2.DeltaDiscoveryRequest(type_url=HEALTH, resource_names_subscribe=name))
        return [request for request in (*leaving, *answers, *wants, *told) if request is not None]


_FAILURES = (Lost, grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError)


@asynccontextmanager
async def _open(connect: Connect, addresses: Sequence[str]) -> AsyncIterator[tuple[str, Call]]:
    """A stream to the first of the addresses that can be reached, and which that is."""
    address, channel = await reach(connect, addresses)
    try:
        method: Any = channel.stream_stream(
            METHOD,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )
        call = method()
        try:
            yield address, call
        finally:
            call.cancel()
    finally:
        await channel.close(None)


def _reason(group: BaseExceptionGroup[Any]) -> str:
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _reason(error)
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error) or type(error).__name__
