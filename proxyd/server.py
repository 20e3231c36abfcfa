"""gRPC on Unix sockets of ours alone. What Envoy talks to: configuration (ADS) and secrets (SDS) on one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from artemon.daemon.sockets import reachable
from artemon.errors import ArtemonError
from artemon.xds.request import Malformed, TooMuch
from proxyd.bootstrap import XDS_SOCKET

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[AsyncIterator[bytes], Context], Awaitable[None]]

ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"
SDS = "envoy.service.secret.v3.SecretDiscoveryService"
MAX_REQUEST = 8 * 1024 * 1024
STOP_SECONDS = 0.2
STATUS = {
    Malformed: grpc.StatusCode.INVALID_ARGUMENT,
    TooMuch: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""How a request that cannot be taken is answered."""


@asynccontextmanager
async def serve(directory: Path, services: Mapping[str, Mapping[str, Handler]]) -> AsyncIterator[None]:
    """Serve handlers, by service and method, on `directory`/xds.sock while the block runs. Raises
    ArtemonError when the socket cannot be made."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_REQUEST)])
    for service, methods in services.items():
        handlers: dict[str, Any] = {
            name: grpc.stream_stream_rpc_method_handler(handler) for name, handler in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    async with listening(server, directory / XDS_SOCKET):
        yield


@asynccontextmanager
async def listening(server: grpc.aio.Server, path: Path) -> AsyncIterator[None]:
    """Have a server listen on `path` (0600) while the block runs. Raises ArtemonError when the socket cannot
    be made."""
    with reachable(path) as name:
        _bind(server, path, name)
        await server.start()
        try:
            yield
        finally:
            await server.stop(STOP_SECONDS)


def _bind(server: grpc.aio.Server, path: Path, name: str) -> None:
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        server.add_insecure_port(f"unix:{name}")
    except (RuntimeError, OSError) as error:
        raise ArtemonError(f"cannot listen on {path}: {error}") from error
    finally:
        os.umask(before)
