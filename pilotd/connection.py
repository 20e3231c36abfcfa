"""One xDS stream from its first request to its end. Knows nothing of the transport below it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from artemon.errors import Refused
from artemon.log import Log
from artemon.model.plaintext import PlaintextReport
from artemon.model.proxy import Proxy
from artemon.model.service import Health
from artemon.xds.channel import Response
from artemon.xds.request import Malformed, Node, Request, TooMuch, parse_delta, parse_sotw
from artemon.xds.session import Accepted, Expired, Rejected, Session
from artemon.xds.subscription import SharedNames
from artemon.xds.types import CALLERS, HEALTH, LEAVING, LISTENER, SHORT
from artemon.xds.wire import Bodies
from pilotd.alarm import Alarm
from pilotd.fleet import Client, Desired, Fleet, Revoked, TooManyStreams
from pilotd.metrics import Metrics
from pilotd.node import WrongIdentity, WrongNode, check_identity, proxy_of, workload_of
from pilotd.registration import FindGroup, NotRegistered, registered
from pilotd.report import Report
from pilotd.stream import Ended, Stream

FIRST_REQUEST_SECONDS = 30.0
WRITE_SECONDS = 15.0
PATIENCE_SECONDS = 1.0
"""How long routes wait for the clusters that they need to be warm."""


class Attends(Protocol):
    """What keeps the records of a connected proxy: its workload and its status."""

    def attend(self, client: Client) -> AbstractContextManager[Report]: ...

    def depart(self, client: Client) -> None: ...

    def feels(self, client: Client, health: Health) -> None: ...


@dataclass(frozen=True, slots=True)
class Serving:
    """What every stream needs. now: a clock that does not jump, seconds."""

    fleet: Fleet
    records: Attends
    groups: FindGroup
    bodies: Bodies
    names: SharedNames
    metrics: Metrics
    log: Log
    trust_domain: str
    now: Callable[[], float]
    require_identity: bool = True


async def serve(stream: Stream, serving: Serving, *, delta: bool) -> None:
    """Converse until the client ends the stream. Raises Ended when we do."""
    try:
        await _serve(stream, serving, delta=delta)
    except* Ended as group:
        ended = _first(group)
        serving.metrics.refused_streams.labels(ended.status).inc()
        serving.log.warning("stream_ended", peer=stream.peer, status=ended.status, reason=str(ended))
        raise ended from None


def _first(group: BaseExceptionGroup[Ended]) -> Ended:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Ended)
    return error


async def _serve(stream: Stream, serving: Serving, *, delta: bool) -> None:
    if not serving.fleet.ready:
        raise Ended("UNAVAILABLE", "the registry has not been read completely yet; try again")
    parse = parse_delta if delta else parse_sotw
    try:
        async with asyncio.timeout(FIRST_REQUEST_SECONDS):
            first = await stream.read()
    except TimeoutError:
        raise Ended("DEADLINE_EXCEEDED", "no request came") from None
    if first is None:
        return
    request, node = _parsed(parse, first)
    if node is None:
        raise Ended("INVALID_ARGUMENT", "the first request of a stream must carry a node")
    conversation = _Conversation(stream, serving, node, delta=delta)
    await conversation.run(request)


def _parsed(
    parse: Callable[[bytes], tuple[Request, Node | None]], data: bytes
) -> tuple[Request, Node | None]:
    try:
        return parse(data)
    except Malformed as error:
        raise Ended("INVALID_ARGUMENT", str(error)) from error
    except TooMuch as error:
        raise Ended("RESOURCE_EXHAUSTED", str(error)) from error


def _report(request: Request) -> PlaintextReport | None:
    try:
        return PlaintextReport.decode((request.subscribe or request.names or ("",))[0])
    except Refused as refusal:
        raise Ended("INVALID_ARGUMENT", str(refusal)) from refusal


class _Conversation:
    def __init__(self, stream: Stream, serving: Serving, node: Node, *, delta: bool) -> None:
        self._stream = stream
        self._serving = serving
        self._node_id = node.id
        self._delta = delta
        self._session = Session(delta=delta, share=serving.names)
        self._parse = parse_delta if delta else parse_sotw
        self._proxy = self._admitted(node)
        self._offered = 0
        """The revision that the responses under way belong to."""

    def _admitted(self, node: Node) -> Proxy:
        peer = self._stream.peer
        try:
            proxy = proxy_of(node)
            workload_of(proxy)
            if peer is not None:
                check_identity(node, proxy, peer, trust_domain=self._serving.trust_domain)
        except WrongNode as error:
            raise Ended("INVALID_ARGUMENT", str(error)) from error
        except WrongIdentity as error:
            raise Ended("PERMISSION_DENIED", str(error)) from error
        if peer is None and self._serving.require_identity:
            raise Ended("UNAUTHENTICATED", "a client certificate with one SPIFFE ID is needed")
        if peer is None and proxy.service:
            raise Ended("PERMISSION_DENIED", "ARTEMON_SERVICE: only who has a certificate may serve")
        if peer is None and (proxy.group or proxy.registry):
            raise Ended("PERMISSION_DENIED", "AUTO_REGISTER_GROUP: only who has a certificate may serve")
        try:
            return registered(proxy, self._serving.groups)
        except NotRegistered as error:
            raise Ended("FAILED_PRECONDITION", f"AUTO_REGISTER_GROUP: {error}") from error

    async def run(self, first: Request) -> None:
        """Talk until the client ends the stream."""
        serving = self._serving
        log = serving.log.bind(proxy=self._proxy.id)
        try:
            peer, serial = self._stream.peer, self._stream.serial
            with serving.fleet.joined(self._proxy, peer, self._session, serial) as client:
                log.info("proxy_connected", identity=self._stream.peer, delta=self._delta)
                with serving.records.attend(client) as report:
                    await self._talk(client, report, first)
                log.info("proxy_disconnected")
        except TooManyStreams as error:
            raise Ended("RESOURCE_EXHAUSTED", str(error)) from error
        except Revoked as error:
            raise Ended("PERMISSION_DENIED", str(error)) from error

    async def _talk(self, client: Client, report: Report, first: Request) -> None:
        self._receive(client, report, first)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(client, report), name="xds-writer")
            revoked = tasks.create_task(self._until_revoked(client), name="xds-revoked")
            with self._alarmed(tasks):
                await self._read(client, report)
            revoked.cancel()
            writer.cancel()

    async def _read(self, client: Client, report: Report) -> None:
        while (data := await self._stream.read()) is not None:
            request, node = _parsed(self._parse, data)
            if node is not None and node.id and node.id != self._node_id:
                raise Ended("PERMISSION_DENIED", "the node may not change during a stream")
            if request.type_url == LEAVING:
                self._serving.records.depart(client)
                continue
            if request.type_url == CALLERS:
                client.callers = _report(request)
                continue
            if request.type_url == HEALTH:
                self._feels(client, request)
                continue
            self._receive(client, report, request)

    @contextmanager
    def _alarmed(self, tasks: asyncio.TaskGroup) -> Iterator[None]:
        """While the block runs, a client that takes nothing for too long ends the stream."""

        def give_up() -> None:
            tasks.create_task(self._taken_nothing(), name="xds-slow")

        self._slow = Alarm(give_up)
        try:
            yield
        finally:
            self._slow.close()

    async def _taken_nothing(self) -> None:
        raise Ended("DEADLINE_EXCEEDED", f"the client took no response in {WRITE_SECONDS:.0f} s")

    def _feels(self, client: Client, request: Request) -> None:
        try:
            health = Health(request.subscribe[0])
        except (IndexError, ValueError) as error:
            raise Ended("INVALID_ARGUMENT", f"{HEALTH}: one of {', '.join(Health)} is expected") from error
        self._serving.records.feels(client, health)

    async def _until_revoked(self, client: Client) -> None:
        await client.revoked.wait()
        raise Ended("PERMISSION_DENIED", f"{client.identity} or its certificate is revoked")

    def _receive(self, client: Client, report: Report, request: Request) -> None:
        try:
            events = self._session.receive(request)
        except TooMuch as error:
            raise Ended("RESOURCE_EXHAUSTED", str(error)) from error
        metrics = self._serving.metrics
        for event in events:
            kind = SHORT.get(event.type_url, "other")
            if isinstance(event, Accepted):
                report.accepted(kind, event.version)
            elif isinstance(event, Rejected):
                metrics.rejects.labels(kind).inc()
                self._rejected(client, report, event)
            elif isinstance(event, Expired):
                metrics.expired.labels(kind).inc()
        client.mailbox.nudge()

    def _rejected(self, client: Client, report: Report, event: Rejected) -> None:
        names = ", ".join(name for name, _ in event.resources)
        kind = SHORT.get(event.type_url, "other")
        self._serving.log.warning(
            "rejected",
            proxy=client.proxy.id,
            type=kind,
            resources=names or "not known yet",
            reason=event.message,
        )
        if event.resources:
            name, version = event.resources[0]
            report.rejected(
                kind, version=version, resource=name, message=event.message, changed=self._offered
            )

    async def _write(self, client: Client, report: Report) -> None:
        while True:
            news = await client.mailbox.wait(None if self._session.settled else PATIENCE_SECONDS)
            desired = client.mailbox.value
            if desired is None:
                continue
            report.left_out(desired.resources.rejected)
            responses = self._session.owed(desired.resources, patient=news)
            self._offered = desired.changed if responses else self._offered
            for response in responses:
                await self._send(response, report)
            if self._session.settled and not responses and LISTENER in self._session.types:
                self._settled(desired, report)
            elif not news:
                report.publish()

    def _settled(self, desired: Desired, report: Report) -> None:
        for url in self._session.types:
            kind = SHORT.get(url, "other")
            if not report.knows(kind):
                report.resumed(kind, desired.resources[url].version)
        refusing = frozenset(SHORT.get(url, "other") for url in self._session.refusing)
        if report.settled(desired.revision, desired.changed, refusing=refusing, trust=desired.trust):
            self._serving.metrics.convergence.observe(self._serving.now() - desired.since)

    async def _send(self, response: Response, report: Report) -> None:
        serving, kind = self._serving, SHORT.get(response.type_url, "other")
        data = serving.bodies.encode(response, response.nonce, delta=self._delta)
        started = serving.now()
        self._slow.set(WRITE_SECONDS)
        await self._stream.write(data)
        self._slow.clear()
        serving.metrics.send_time.observe(serving.now() - started)
        serving.metrics.sent(kind, len(data))
        report.sent(kind, response.version)
