"""The streams of Envoy: each joins a conversation with the wire."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import grpc

from artemon.daemon.identity_files import Identity
from artemon.log import Log
from artemon.xds.channel import Response
from artemon.xds.request import Malformed, Request, TooMuch, parse_delta, parse_sotw
from artemon.xds.resource import Resources
from artemon.xds.session import Event, Rejected, Session
from artemon.xds.types import SHORT
from artemon.xds.wire import Bodies
from proxyd.bells import Bells, heard
from proxyd.conversation import Conversation
from proxyd.metrics import Metrics
from proxyd.secrets import NAMES, secrets
from proxyd.server import Context
from proxyd.view import View

PATIENCE_SECONDS = 20.0
STEADY_SECONDS = 2.0
_STATUS = {
    Malformed: grpc.StatusCode.INVALID_ARGUMENT,
    TooMuch: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class ConfigurationStreams:
    """ADS: the view for Envoy. `changed` rings when the view has; `moved` is rung when Envoy has spoken."""

    def __init__(self, view: View, *, changed: Bells, moved: Bells, log: Log, metrics: Metrics) -> None:
        self._view = view
        self._changed = changed
        self._moved = moved
        self._log = log
        self._metrics = metrics
        self._bodies = Bodies()
        self._current: Conversation | None = None

    @property
    def configured(self) -> bool:
        """Whether Envoy has taken clusters and listeners on its present stream."""
        return self._current is not None and self._current.configured

    async def delta(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream of Envoy's."""
        conversation = self._current = Conversation(self._view)
        self._log.info("envoy connected")
        self._metrics.envoy_streams.set(1)
        try:
            with self._changed.listen() as wake:
                async with asyncio.TaskGroup() as tasks:
                    writer = tasks.create_task(self._write(conversation, context, wake))
                    await self._read(conversation, requests, context, wake)
                    writer.cancel()
        finally:
            if self._current is conversation:
                self._current = None
                self._metrics.envoy_streams.set(0)
                self._log.info("envoy disconnected")

    async def _read(
        self,
        conversation: Conversation,
        requests: AsyncIterator[bytes],
        context: Context,
        wake: asyncio.Event,
    ) -> None:
        async for data in requests:
            try:
                for event in conversation.receive(parse_delta(data)[0]):
                    self._note(event)
            except (Malformed, TooMuch) as error:
                await context.abort(_STATUS[type(error)], str(error))
            wake.set()

    async def _write(self, conversation: Conversation, context: Context, wake: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        settled_at, steady_at = clock(), None
        while True:
            wake.clear()
            if conversation.settled:
                settled_at = clock()
            patient = clock() - settled_at < PATIENCE_SECONDS
            for response in conversation.owed(patient=patient):
                await context.write(self._bodies.encode(response, response.nonce, delta=True))
            if steady_at is None and conversation.configured:
                steady_at = clock()
            if steady_at is not None and clock() - steady_at > STEADY_SECONDS:
                steady_at = math.inf
                conversation.steady()
            self._moved.ring()
            await heard(wake, STEADY_SECONDS)

    def _note(self, event: Event) -> None:
        if isinstance(event, Rejected):
            self._metrics.rejected.inc()
            names = ",".join(name for name, _ in event.resources)
            kind = SHORT.get(event.type_url, event.type_url)
            self._log.error("envoy refuses configuration", type=kind, resources=names, reason=event.message)


class SecretStreams:
    """SDS: the identity for Envoy. Until there is one, Envoy waits."""

    def __init__(self, *, changed: Bells, log: Log, metrics: Metrics) -> None:
        self._changed = changed
        self._log = log
        self._metrics = metrics
        self._secrets: Resources | None = None

    def publish(self, identity: Identity) -> None:
        """Envoy shall have this identity, at once."""
        self._secrets = secrets(identity, previous=self._secrets)
        self._changed.ring()

    async def delta(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, incremental."""
        await self._serve(requests, context, delta=True)

    async def sotw(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, state of the world."""
        await self._serve(requests, context, delta=False)

    async def _serve(self, requests: AsyncIterator[bytes], context: Context, *, delta: bool) -> None:
        session, bodies = Session(delta=delta), Bodies(limit=0)
        parse = parse_delta if delta else parse_sotw
        with self._changed.listen() as wake:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(session, context, wake, bodies))
                async for data in requests:
                    try:
                        self._receive(session, parse(data)[0])
                    except (Malformed, TooMuch) as error:
                        await context.abort(_STATUS[type(error)], str(error))
                    wake.set()
                writer.cancel()

    def _receive(self, session: Session, request: Request) -> None:
        for event in session.receive(request):
            if isinstance(event, Rejected):
                self._log.error("envoy refuses a secret", reason=event.message)
        for name in {*request.names, *request.subscribe} - NAMES:
            if not request.nonce:
                self._log.error("envoy asks for a secret that there is not", name=name)

    async def _write(self, session: Session, context: Context, wake: asyncio.Event, bodies: Bodies) -> None:
        while True:
            wake.clear()
            for response in self._owed(session):
                await context.write(bodies.encode(response, response.nonce, delta=session.delta))
                self._metrics.secrets.inc(len(response.resources))
            await wake.wait()

    def _owed(self, session: Session) -> list[Response]:
        return session.owed(self._secrets) if self._secrets is not None else []
