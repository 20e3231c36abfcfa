"""The gRPC server: ADS in both variants and the debug service, on raw bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc

from artemon.daemon import grpc_server
from artemon.daemon.identity_tls import peer_serial, peer_spiffe_id
from artemon.pki.spiffe import SpiffeId
from pilotd.connection import Serving, serve
from pilotd.stream import Ended, Stream

MAX_MESSAGE = 4 * 1024 * 1024
ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"

KEEPALIVE_MS, SILENCE_MS = 3_500, 2_500
"""A proxy that says nothing is asked after the first, and given up after the second of silence."""

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", SILENCE_MS),
    # without this a peer that is frozen, but whose kernel acknowledges, is found out after a minute only
    ("grpc.http2.ping_timeout_ms", SILENCE_MS),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
)

Page = Callable[[str], tuple[int, bytes]]
"""A path with its query to a status and JSON."""


class _GrpcStream:
    """A bidirectional gRPC call as messages (implements Stream)."""

    def __init__(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._context = context
        self.peer: SpiffeId | None = peer_spiffe_id(context)
        self.serial: int | None = peer_serial(context)

    async def read(self) -> bytes | None:
        """The next message; None at the end."""
        message = await self._context.read()
        return message if isinstance(message, bytes) else None

    async def write(self, data: bytes) -> None:
        """Hand a message over."""
        await self._context.write(data)


Handler = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[None]]


def _ads(serving: Serving, *, delta: bool) -> Handler:
    async def handle(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        stream: Stream = _GrpcStream(context)
        try:
            await serve(stream, serving, delta=delta)
        except Ended as ended:
            await context.abort(grpc.StatusCode[ended.status], str(ended))

    return handle


def listening(
    address: str, serving: Serving, page: Page, *, credentials: grpc.ServerCredentials | None
) -> AbstractAsyncContextManager[int]:
    """Serves while the block runs; yields the bound port. Raises ArtemonError: the address cannot be used.

    Without credentials: plaintext, for clients on loopback alone.
    """

    async def answer(path: str) -> tuple[int, bytes]:
        return page(path)

    ads = {
        "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(_ads(serving, delta=True)),
        "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(_ads(serving, delta=False)),
    }
    services = {ADS: ads, **grpc_server.debug(answer, serving.trust_domain)}
    return grpc_server.listening(address, services, credentials=credentials, options=OPTIONS)
