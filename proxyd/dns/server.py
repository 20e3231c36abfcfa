"""The DNS server of proxyd: UDP and TCP on one address."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from artemon.daemon.supervised import bound
from artemon.errors import ArtemonError
from artemon.log import Log
from proxyd.dns.answers import Answers, Foreign, refusal
from proxyd.dns.hold import Hold
from proxyd.dns.loops import Loops
from proxyd.dns.resolvers import Address
from proxyd.dns.table import Table
from proxyd.metrics import Metrics

UPSTREAM_SECONDS = 3.0
IDLE_SECONDS = 10.0
MOST_AT_ONCE = 1000
"""Queries that wait for other resolvers; more are answered SERVFAIL at once."""
MOST_CONNECTIONS = 200


class DnsServer:
    """Answers what the table knows and asks `upstream` for everything else. hold: seconds that
    their last good answer counts when a name is gone."""

    def __init__(
        self, upstream: tuple[Address, ...], *, log: Log, metrics: Metrics, hold: float = 0.0
    ) -> None:
        self._loops = Loops(upstream, self._ask_quietly, log)
        self._hold = Hold(hold)
        self._log = log
        self._metrics = metrics
        self._answers = Answers(Table((), namespace=""), random.Random())  # noqa: S311 which address is first
        self._waiting = 0
        self._connections = 0
        self._asking: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None

    def use(self, table: Table) -> None:
        """Answer from this table from now on."""
        self._answers = Answers(table, random.Random())  # noqa: S311
        self._metrics.names.set(len(table))

    @asynccontextmanager
    async def serve(self, address: Address) -> AsyncIterator[None]:
        """Listen while in the context. Raises ArtemonError when the address cannot be had."""
        try:
            udp = bound("dns-udp", *address, socket.SOCK_DGRAM)
            tcp = bound("dns-tcp", *address, socket.SOCK_STREAM)
        except OSError as error:
            raise ArtemonError(f"DNS cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
        async with asyncio.TaskGroup() as self._tasks:  # before a query that waited already is read
            loop = asyncio.get_running_loop()
            datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
            server = await asyncio.start_server(self._connection, sock=tcp)
            try:
                looking = self._tasks.create_task(self._loops.watch(), name="resolver-loops")
                yield
                looking.cancel()
                for task in self._asking:
                    task.cancel()
            finally:
                datagrams.close()
                server.close()

    def datagram(self, query: bytes, send: Callable[[bytes], None]) -> None:
        """One query by UDP."""
        answer = self._answered(query, datagram=True)
        if isinstance(answer, bytes):
            send(answer)
        elif answer is not None and self._tasks is not None:
            task = self._tasks.create_task(self._ask_and_send(answer, send))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask_and_send(self, query: Foreign, send: Callable[[bytes], None]) -> None:
        send(await self._ask(query.message, datagram=True))

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= MOST_CONNECTIONS:
                await self._queries(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            self._connections -= 1
            writer.close()

    async def _queries(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                query = await reader.readexactly(length)
            answer = self._answered(query, datagram=False)
            if isinstance(answer, Foreign):
                answer = await self._ask(answer.message, datagram=False)
            if answer is None:
                return
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()

    def _answered(self, query: bytes, *, datagram: bool) -> bytes | Foreign | None:
        answer = self._answers.answer(query, datagram=datagram)
        if isinstance(answer, bytes):
            self._metrics.dns.labels("mesh").inc()
        if isinstance(answer, Foreign) and self._loops.is_ours(answer.message):
            return refusal(answer.message, dns.rcode.REFUSED)
        return answer

    async def _ask(self, query: dns.message.Message, *, datagram: bool) -> bytes:
        """What the first resolver that answers says."""
        if self._waiting >= MOST_AT_ONCE:
            return self._failed(query)
        self._waiting += 1
        try:
            response = await self._ask_in_turn(query, datagram=datagram)
        finally:
            self._waiting -= 1
        told = self._hold.judged(query, response, now=asyncio.get_running_loop().time())
        if told is None:
            return self._failed(query)
        self._metrics.dns.labels("forwarded" if told is response else "held").inc()
        return told.to_wire(max_size=65535)

    async def _ask_in_turn(self, query: dns.message.Message, *, datagram: bool) -> dns.message.Message | None:
        for host, port in self._loops.straight:
            response = await self._ask_one(query, host, port, datagram=datagram)
            if response is not None:
                return response
        return None

    async def _ask_quietly(self, query: dns.message.Message, host: str, port: int) -> None:
        await self._ask_one(query, host, port, datagram=True)

    async def _ask_one(
        self, query: dns.message.Message, host: str, port: int, *, datagram: bool
    ) -> dns.message.Message | None:
        ask: Callable[..., Awaitable[dns.message.Message]] = (
            dns.asyncquery.udp if datagram else dns.asyncquery.tcp
        )
        try:
            return await ask(query, host, timeout=UPSTREAM_SECONDS, port=port)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            self._log.debug("a resolver does not answer", address=f"{host}:{port}", reason=str(error))
            return None

    def _failed(self, query: dns.message.Message) -> bytes:
        self._metrics.dns.labels("failed").inc()
        return refusal(query, dns.rcode.SERVFAIL)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        transport = self._transport
        if transport is not None:
            self._server.datagram(data, lambda answer: transport.sendto(answer, addr))
