"""The streams of Envoy: each joins a conversation with the wire."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

from artemon.log import Log
from artemon.xds.request import Malformed, TooMuch, parse_delta
from artemon.xds.session import Event, Rejected
from artemon.xds.types import SHORT
from artemon.xds.wire import Bodies
from proxyd.bells import Bells, heard
from proxyd.conversation import Conversation
from proxyd.metrics import Metrics
from proxyd.server import STATUS, Context
from proxyd.view import View

PATIENCE_SECONDS = 20.0
STEADY_SECONDS = 2.0


class ConfigurationStreams:
    """ADS: the view for Envoy. `changed` rings when the view has; `moved` is rung when Envoy has spoken."""

    def __init__(self, view: View, *, changed: Bells, moved: Bells, log: Log, metrics: Metrics) -> None:
        self._view = view
        self._changed = changed
        self._moved = moved
        self._log = log
        self._metrics = metrics
        self._bodies = Bodies(limit=0)  # there is one Envoy: nobody to share with
        self._open: list[Conversation] = []

    @property
    def configured(self) -> bool:
        """Whether Envoy has taken clusters and listeners on a stream that is open. Two Envoys have one each
        while one hands over to the other, and the later one need not be that of the Envoy that stays."""
        return any(one.configured for one in self._open)

    async def delta(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream of Envoy's."""
        conversation = Conversation(self._view)
        self._open.append(conversation)
        self._log.info("envoy connected")
        self._metrics.envoy_streams.set(1)
        try:
            with self._changed.listen() as wake:
                async with asyncio.TaskGroup() as tasks:
                    writer = tasks.create_task(self._write(conversation, context, wake))
                    await self._read(conversation, requests, context, wake)
                    writer.cancel()
        finally:
            self._open.remove(conversation)
            if not self._open:
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
                await context.abort(STATUS[type(error)], str(error))
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
