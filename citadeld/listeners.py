"""citadeld's doors: client certificate, bearer token, a machine's own certificate, Unix socket."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from artemon.daemon.files import make_private_dir
from artemon.daemon.identity_tls import Source, grpc_server_credentials
from artemon.errors import ArtemonError
from citadeld.callers import Door
from citadeld.decision import Method
from citadeld.services import Services
from citadeld.settings import CitadelSettings

MAX_MESSAGE = 64 * 1024
MAX_CALLS, MAX_STRANGERS = 256, 32
"""Calls at once, and those of callers without a certificate: renewals come first."""
GRACE = 2.0
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
]


@asynccontextmanager
async def serve(
    settings: CitadelSettings, services: Services, doors: Mapping[Method, Door], source: Source
) -> AsyncIterator[dict[Method, str]]:
    """Serves while the block runs; yields the addresses as bound. Raises ArtemonError: port in use."""
    async with AsyncExitStack() as stack:
        bound: dict[Method, str] = {}
        for method, address, credentials in _places(settings, services, source):
            calls = MAX_CALLS if method == "certificate" else MAX_STRANGERS
            server = _server(services, doors[method], calls)
            try:
                port = server.add_secure_port(address, credentials)
            except RuntimeError as error:
                raise ArtemonError(f"cannot listen on {address}: the port is in use or not ours") from error
            await _start(server, stack)
            bound[method] = f"{address.rpartition(':')[0]}:{port}"
        server = _server(services, doors["socket"])
        _add_socket(server, settings)
        await _start(server, stack)
        bound["socket"] = str(settings.socket)
        yield bound


def _places(
    settings: CitadelSettings, services: Services, source: Source
) -> Iterator[tuple[Method, str, grpc.ServerCredentials]]:
    yield "certificate", settings.listen, grpc_server_credentials(source)
    yield "token", settings.join_address, grpc_server_credentials(source, require_client=False)
    if services.attestation.looks_at("machine"):
        roots = lambda: services.attestation.roots  # noqa: E731 - as they are at that moment
        yield "machine", settings.machine_address, grpc_server_credentials(source, client_roots=roots)


def _server(services: Services, door: Door, calls: int = MAX_CALLS) -> grpc.aio.Server:
    return grpc.aio.server(handlers=services.handlers(door), options=_OPTIONS, maximum_concurrent_rpcs=calls)


async def _start(server: grpc.aio.Server, stack: AsyncExitStack) -> None:
    await server.start()
    stack.push_async_callback(server.stop, GRACE)


def _add_socket(server: grpc.aio.Server, settings: CitadelSettings) -> None:
    """Whoever may open the socket is an operator: nobody but our user may, from its first moment on."""
    make_private_dir(settings.socket.parent)
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{settings.socket}")
    except RuntimeError as error:
        raise ArtemonError(f"cannot listen on {settings.socket}") from error
    finally:
        os.umask(before)
