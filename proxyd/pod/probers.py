"""The kubelet's probes and hooks, which injection pointed at proxyd: asked of the application within the pod.

Connections to the application come from 127.0.0.6, which interception leaves alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import grpc
from aiohttp import web
from grpc_health.v1 import health_pb2

from artemon.daemon.address import address_text
from artemon.log import Log

SOURCES = {False: "127.0.0.6", True: "::6"}
"""By whether it is IPv6."""
SECONDS = 1
GRPC_METHOD = "/grpc.health.v1.Health/Check"
PREFIXES = ("/app-health/", "/app-lifecycle/")
_NOT_PASSED = frozenset({"host", "connection", "accept-encoding", "content-length", "transfer-encoding"})
Told = Mapping[str, Any]


class Probers:
    """host: where the application is asked. told: path -> what to do there (ISTIO_KUBE_APP_PROBERS)."""

    def __init__(self, told: Mapping[str, Told], host: str, log: Log) -> None:
        self._told, self._host, self._log = told, host, log

    def routes(self) -> list[web.RouteDef]:
        """One for each; others are 404."""
        return [web.get(path, self._handler(one)) for path, one in self._told.items()]

    def _handler(self, told: Told) -> Callable[[web.Request], Awaitable[web.Response]]:
        kind = next((kind for kind in _ASK if kind in told), None)

        async def handle(request: web.Request) -> web.Response:
            if kind is None:
                raise web.HTTPNotFound(text="nothing to ask\n")
            try:
                seconds = told.get("timeoutSeconds") or SECONDS
                timeout = aiohttp.ClientTimeout(total=seconds)
                status, text = await _ASK[kind](told[kind], self._host, timeout, request)
            except (OSError, TimeoutError, aiohttp.ClientError, grpc.aio.AioRpcError) as error:
                status, text = 500, f"{type(error).__name__}: {error}\n"
            if status >= 400:
                self._log.debug("application not well", path=request.path, status=status, reason=text.strip())
            return web.Response(status=status, text=text)

        return handle


async def _http(
    told: Told, host: str, timeout: aiohttp.ClientTimeout, request: web.Request
) -> tuple[int, str]:
    to = told.get("host") or host
    scheme = str(told.get("scheme") or "HTTP").lower()
    path = str(told.get("path") or "/")
    url = f"{scheme}://{address_text(to, int(told['port']))}{path if path.startswith('/') else '/' + path}"
    asked = {one["name"].lower(): one.get("value", "") for one in told.get("httpHeaders") or ()}
    headers = {
        key: value for key, value in request.headers.items() if key.lower() not in _NOT_PASSED | asked.keys()
    }
    source = _source(to)
    connector = aiohttp.TCPConnector(ssl=False, force_close=True, local_addr=(source, 0) if source else None)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session,
        session.get(url, headers=headers | asked, allow_redirects=False) as answer,
    ):
        return answer.status, "" if answer.status < 400 else f"HTTP {answer.status}\n"


async def _tcp(told: Told, host: str, timeout: aiohttp.ClientTimeout, _: web.Request) -> tuple[int, str]:
    to = told.get("host") or host
    source = _source(to)
    async with asyncio.timeout(timeout.total):
        local = (source, 0) if source else None
        _reader, writer = await asyncio.open_connection(to, int(told["port"]), local_addr=local)
    writer.close()
    return 200, ""


async def _grpc(told: Told, host: str, timeout: aiohttp.ClientTimeout, _: web.Request) -> tuple[int, str]:
    # grpc binds no source address: on loopback interception leaves connections alone
    to = "[::1]" if ":" in host else "127.0.0.1"
    async with grpc.aio.insecure_channel(f"{to}:{told['port']}") as channel:
        call: Any = channel.unary_unary(
            GRPC_METHOD,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        request = health_pb2.HealthCheckRequest(service=told.get("service") or "")
        answer = await call(request, timeout=timeout.total)
    serving = health_pb2.HealthCheckResponse.ServingStatus
    name = str(serving.Name(answer.status))
    return (200, "") if answer.status == serving.SERVING else (500, f"{name}\n")


def _source(to: str) -> str | None:
    """None for a name: who it is decides."""
    return SOURCES[":" in to] if to.replace(".", "").isdigit() or ":" in to else None


_ASK: Mapping[str, Callable[[Told, str, aiohttp.ClientTimeout, web.Request], Awaitable[tuple[int, str]]]] = {
    "httpGet": _http,
    "tcpSocket": _tcp,
    "grpc": _grpc,
}
