"""The streams of Envoy's secrets: its identity, and files of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from artemon.daemon.identity_files import Identity
from artemon.log import Log
from artemon.xds.request import Malformed, Request, TooMuch, parse_delta, parse_sotw
from artemon.xds.resource import Resources
from artemon.xds.session import Accepted, Rejected, Session
from artemon.xds.types import SECRET
from artemon.xds.wire import Bodies
from proxyd.bells import Bells
from proxyd.filesecrets import FileSecrets, is_file_secret
from proxyd.metrics import Metrics
from proxyd.secrets import NAMES, ROOTS, secrets
from proxyd.server import STATUS, Context
from proxyd.view import View

FILES_SECONDS = 5.0
Parse = Callable[[bytes], tuple[Request, Any]]


class SecretStreams:
    """SDS. Until there is an identity, Envoy waits for it.

    Whom to trust comes with the identity, and from pilotd through the view, which learns when Envoy has it:
    `moved` rings then. certain: whether pilotd is there, so that what it said is so now.
    """

    def __init__(
        self, view: View, *, moved: Bells, certain: Callable[[], bool], log: Log, metrics: Metrics
    ) -> None:
        self._view = view
        self._moved = moved
        self._certain = certain
        self._changed = Bells()
        self._log = log
        self._metrics = metrics
        self._identity: Identity | None = None
        self._origins: dict[str, str] = {}
        self._sessions: list[Session] = []
        self._files = FileSecrets(log)
        self._secrets = Resources({})

    def publish(self, identity: Identity) -> None:
        """Envoy shall have this identity, at once."""
        self._identity = identity
        self.renew()

    async def watch_files(self) -> None:
        """Look every few seconds whether files are others than they were, and lists overdue, until
        cancelled."""
        while True:
            await asyncio.sleep(FILES_SECONDS)
            await asyncio.to_thread(self._files.refresh)
            self.renew()

    async def delta(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, incremental."""
        await self._serve(requests, context, delta=True)

    async def sotw(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream, state of the world."""
        await self._serve(requests, context, delta=False)

    async def _serve(self, requests: AsyncIterator[bytes], context: Context, *, delta: bool) -> None:
        session, parse = Session(delta=delta), parse_delta if delta else parse_sotw
        self._sessions.append(session)
        sent: dict[str, str] = {}
        try:
            await self._converse(requests, context, session, parse, sent)
        finally:
            self._sessions.remove(session)
            self._unused()

    async def _converse(
        self,
        requests: AsyncIterator[bytes],
        context: Context,
        session: Session,
        parse: Parse,
        sent: dict[str, str],
    ) -> None:
        with self._changed.listen() as wake:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(session, context, wake, sent))
                async for data in requests:
                    try:
                        self._receive(session, parse(data)[0], sent)
                    except (Malformed, TooMuch) as error:
                        await context.abort(STATUS[type(error)], str(error))
                    wake.set()
                writer.cancel()

    def _receive(self, session: Session, request: Request, sent: dict[str, str]) -> None:
        for event in session.receive(request):
            if isinstance(event, Rejected):
                self._log.error("envoy refuses a secret", reason=event.message)
            if isinstance(event, Accepted | Rejected) and event.nonce in sent:
                told = {ROOTS: sent.pop(event.nonce)}
                if isinstance(event, Accepted):
                    self._view.accepted(SECRET, told)
                else:
                    self._view.refused(SECRET, told, event.message)
                self._moved.ring()
        if request.nonce:
            return
        others = {*request.names, *request.subscribe} - NAMES
        files = {name for name in others if is_file_secret(name)}
        for name in others - files:
            self._log.error("envoy asks for a secret that there is not", name=name)
        self._files.ask(files)
        if files and self._files.refresh():
            self.renew()

    async def _write(
        self, session: Session, context: Context, wake: asyncio.Event, sent: dict[str, str]
    ) -> None:
        bodies = Bodies(limit=0)  # keys are not kept
        while True:
            wake.clear()
            for response in session.owed(self._secrets) if self._identity else ():
                for one in response.resources:
                    if one.name == ROOTS and one.version in self._origins:
                        sent[response.nonce] = self._origins[one.version]
                await context.write(bodies.encode(response, response.nonce, delta=session.delta))
                self._metrics.secrets.inc(len(response.resources))
            await wake.wait()

    def renew(self) -> None:
        """Make the secrets anew from what is known now; Envoy gets what is different."""
        if self._identity is None:
            return
        told = self._view.desired()[SECRET].items.get(ROOTS)
        made = secrets(self._identity, told, certain=self._certain(), now=datetime.now(UTC))
        self._origins = {made[ROOTS].version: told.version} if told else {}
        items = {**made, **self._files.resources}
        self._secrets = Resources.of({SECRET: items}, previous=self._secrets)
        self._changed.ring()
        self._unused()

    def _unused(self) -> None:
        """While Envoy does not ask whom to trust, it needs no consent of it: it begins with the newest."""
        asked = (session.subscription(SECRET) for session in self._sessions)
        told = self._view.desired()[SECRET].items.get(ROOTS)
        if told is not None and not any(one and ROOTS in one.names for one in asked):
            self._view.accepted(SECRET, {ROOTS: told.version})
            self._moved.ring()
