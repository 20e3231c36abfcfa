"""The streams of Envoy's secrets: its identity, and files of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from artemon.daemon.identity_files import Identity
from artemon.log import Log
from artemon.xds.request import Malformed, Request, TooMuch, parse_delta, parse_sotw
from artemon.xds.resource import Resource, Resources
from artemon.xds.session import Rejected, Session
from artemon.xds.types import SECRET
from artemon.xds.wire import Bodies
from proxyd.bells import Bells
from proxyd.filesecrets import FileSecrets, is_file_secret
from proxyd.metrics import Metrics
from proxyd.secrets import NAMES, secrets
from proxyd.server import STATUS, Context

FILES_SECONDS = 5.0


class SecretStreams:
    """SDS. Until there is an identity, Envoy waits for it."""

    def __init__(self, *, log: Log, metrics: Metrics) -> None:
        self._changed = Bells()
        self._log = log
        self._metrics = metrics
        self._identity: dict[str, Resource] = {}
        self._files = FileSecrets(log)
        self._secrets = Resources({})

    def publish(self, identity: Identity) -> None:
        """Envoy shall have this identity, at once."""
        self._identity = secrets(identity)
        self._renew()

    async def watch_files(self) -> None:
        """Look every few seconds whether files are others than they were, until cancelled."""
        while True:
            await asyncio.sleep(FILES_SECONDS)
            if await asyncio.to_thread(self._files.refresh):
                self._renew()

    async def delta(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, incremental."""
        await self._serve(requests, context, delta=True)

    async def sotw(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, state of the world."""
        await self._serve(requests, context, delta=False)

    async def _serve(self, requests: AsyncIterator[bytes], context: Context, *, delta: bool) -> None:
        session, parse = Session(delta=delta), parse_delta if delta else parse_sotw
        with self._changed.listen() as wake:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(session, context, wake))
                async for data in requests:
                    try:
                        self._receive(session, parse(data)[0])
                    except (Malformed, TooMuch) as error:
                        await context.abort(STATUS[type(error)], str(error))
                    wake.set()
                writer.cancel()

    def _receive(self, session: Session, request: Request) -> None:
        for event in session.receive(request):
            if isinstance(event, Rejected):
                self._log.error("envoy refuses a secret", reason=event.message)
        if request.nonce:
            return
        others = {*request.names, *request.subscribe} - NAMES
        files = {name for name in others if is_file_secret(name)}
        for name in others - files:
            self._log.error("envoy asks for a secret that there is not", name=name)
        self._files.ask(files)
        if files and self._files.refresh():
            self._renew()

    async def _write(self, session: Session, context: Context, wake: asyncio.Event) -> None:
        bodies = Bodies(limit=0)  # keys are not kept
        while True:
            wake.clear()
            for response in session.owed(self._secrets) if self._identity else ():
                await context.write(bodies.encode(response, response.nonce, delta=session.delta))
                self._metrics.secrets.inc(len(response.resources))
            await wake.wait()

    def _renew(self) -> None:
        items = {**self._identity, **self._files.resources}
        self._secrets = Resources.of({SECRET: items}, previous=self._secrets)
        self._changed.ring()
