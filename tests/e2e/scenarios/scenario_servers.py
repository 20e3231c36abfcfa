"""The servers behind the scenarios: three instances on loopback that count, and do what they are asked."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from aiohttp import WSMsgType, web

ADDRESSES: Mapping[str, str] = {"v1": "127.0.89.21", "v2": "127.0.89.22", "v3": "127.0.89.23"}
CALL = "x-call"
"""The header that says which call of which scenario a request belongs to: `<call>.<number>`."""
DO = "x-do"
"""What servers are asked to do, comma-separated: `status=503`, `status@v1=503` (that instance alone),
`fail=2` (the first two attempts of a request end with 503), `fail=2:500`, `sleep=0.5`, `reset`."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as a server saw it. facts: of the connection."""

    instance: str
    method: str
    path: str
    headers: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Servers:
    """HTTP, HTTPS, gRPC and TCP of every instance, on an event loop of their own."""

    def __init__(self, certificate: ssl.SSLContext) -> None:
        self.log: dict[str, list[Seen]] = defaultdict(list)
        self.ports: dict[str, int] = {}
        self._certificate = certificate
        self._attempts: dict[str, int] = defaultdict(int)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._forwards: dict[tuple[Any, ...], int] = {}
        self._keep: list[Any] = []

    def start(self, ports: Mapping[str, int]) -> None:
        """Serve on these ports: protocol -> port, the same on every instance's address."""
        self.ports = dict(ports)
        self._thread.start()
        self.run(self._start())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, done on the servers' loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def of(self, call: str) -> list[Seen]:
        """The requests of a call that arrived."""
        return list(self.log[call])

    def forward(self, source: tuple[str, int], greeting: bytes) -> int:
        """A port of 127.0.0.1 whose connections go to `source`, after the greeting."""
        key = (source, greeting)
        if key not in self._forwards:
            self._forwards[key] = self.run(self._forward(source, greeting))
        return self._forwards[key]

    async def _start(self) -> None:
        for name, address in ADDRESSES.items():
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._answers(name))
            runner = web.AppRunner(app, access_log=None, handle_signals=False)
            await runner.setup()
            await web.TCPSite(runner, address, self.ports["http"]).start()
            if name == "v1":
                await web.TCPSite(runner, "127.0.0.1", self.ports["bridge"]).start()
                self._keep.append(await asyncio.start_server(_connect, "127.0.0.1", self.ports["connect"]))
            for place in (address, "127.0.0.1") if name == "v1" else (address,):
                await web.TCPSite(runner, place, self.ports["https"], ssl_context=self._certificate).start()
            self._keep.append(runner)
            server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
            server.add_generic_rpc_handlers((_Rpc(self, name),))
            server.add_insecure_port(f"{address}:{self.ports['grpc']}")
            await server.start()
            self._keep.append(server)
            self._keep.append(await asyncio.start_server(self._says(name), address, self.ports["tcp"]))

    def note(self, instance: str, method: str, path: str, headers: Mapping[str, str], **facts: Any) -> int:
        """Record a request; which attempt at it this is, from 1."""
        key = headers.get(CALL, "")
        self.log[key.partition(".")[0]].append(Seen(instance, method, path, headers, facts))
        self._attempts[key] += 1
        return self._attempts[key]

    def _answers(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            headers = {key.lower(): ",".join(request.headers.getall(key)) for key in request.headers}
            transport = request.transport or _NONE
            facts: dict[str, Any] = {"peer": transport.get_extra_info("peername")}
            tls = transport.get_extra_info("ssl_object")
            if tls is not None:
                facts |= {"sni": getattr(tls, "server_name", ""), "certificate": bool(tls.getpeercert(True))}
            attempt = self.note(name, request.method, request.path_qs, headers, **facts)
            if headers.get("upgrade") == "websocket":
                return await _echo(request)
            status = await _obey(request, headers.get(DO, ""), name, attempt)
            return web.Response(status=status, text=name, headers={"x-instance": name, "x-server": "yes"})

        return answer

    def _says(self, name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = (await reader.readline()).decode(errors="replace").strip()
            self.note(name, "", "", {CALL: line})
            writer.write(f"{name}\n".encode())
            await writer.drain()
            await reader.read()
            writer.close()

        return say

    async def _forward(self, target: tuple[str, int], greeting: bytes) -> int:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection(*target)
            inner_writer.write(greeting)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        self._keep.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port


class _Nothing:
    def get_extra_info(self, name: str) -> Any:
        return ("",) if name == "peername" else None


_NONE = _Nothing()


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP proxy that knows CONNECT alone."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, target, _ = head.splitlines()[0].split(" ")
    if method != "CONNECT":
        writer.write(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
        writer.close()
        return
    host, _, port = target.rpartition(":")
    inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _obey(request: web.Request, wishes: str, name: str, attempt: int) -> int:
    """Does what is asked for; the status to answer with."""
    status = 200
    for wish in filter(None, wishes.split(",")):
        what, _, value = wish.partition("=")
        what, _, whom = what.partition("@")
        if whom and whom != name:
            continue
        if what == "sleep":
            await asyncio.sleep(float(value))
        elif what == "status":
            status = int(value)
        elif what == "fail":
            count, _, code = value.partition(":")
            status = int(code or 503) if attempt <= int(count) else status
        elif what == "reset" and request.transport is not None and attempt <= int(value or 1):
            request.transport.abort()
    return status


async def _echo(request: web.Request) -> web.WebSocketResponse:
    out = web.WebSocketResponse()
    await out.prepare(request)
    async for message in out:
        if message.type is WSMsgType.TEXT:
            await out.send_str(message.data)
    return out


class _Rpc(grpc.GenericRpcHandler):
    """Every method of every service: answers with the instance's name, or the status that is asked for."""

    def __init__(self, servers: Servers, name: str) -> None:
        self._servers, self._name = servers, name

    def service(self, details: Any) -> Any:
        async def answer(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
            headers = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
            attempt = self._servers.note(self._name, "POST", details.method, headers)
            for wish in filter(None, headers.get(DO, "").split(",")):
                what, _, value = wish.partition("=")
                if what == "sleep":
                    await asyncio.sleep(float(value))
                elif what == "grpc":
                    count, _, code = value.partition(":")
                    if attempt <= int(count):
                        await context.abort(grpc.StatusCode[code], "as asked")
            return self._name.encode()

        return grpc.unary_unary_rpc_method_handler(answer)
