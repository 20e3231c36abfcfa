"""A daemon's gRPC server on raw bytes, and the service by which system identities ask it for pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from artemon.api.v1.debug_pb2 import DebugRequest, DebugResponse
from artemon.daemon.identity_tls import peer_spiffe_id
from artemon.errors import ArtemonError

DEBUG = "artemon.v1.Debug"
DRAIN_SECONDS = 1.0
Context = grpc.aio.ServicerContext[Any, Any]
Services = Mapping[str, Mapping[str, Any]]
"""Handlers by service and method."""
Answer = Callable[[str], Awaitable[tuple[int, bytes]]]
"""A path with its query to a status and JSON."""


@asynccontextmanager
async def listening(
    address: str,
    services: Services,
    *,
    credentials: grpc.ServerCredentials | None,
    options: Sequence[tuple[str, int]],
) -> AsyncIterator[int]:
    """Serves while the block runs; yields the bound port. Raises ArtemonError: the address cannot be used.

    Without credentials: plaintext, for clients on loopback alone.
    """
    server = grpc.aio.server(options=options)
    for service, methods in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, dict(methods)),))
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ArtemonError(f"cannot listen on {address}: is another process using it?") from error
    await server.start()
    try:
        yield port
    finally:
        await server.stop(DRAIN_SECONDS)


def debug(answer: Answer, trust_domain: str) -> Services:
    """`artemon.v1.Debug/Get`, for galleyd and other system identities."""

    async def handle(data: bytes, context: Context) -> bytes:
        peer = peer_spiffe_id(context)
        if peer is None or not peer.is_system or peer.trust_domain != trust_domain:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "only system identities may look")
        request = await read(DebugRequest, data, context)
        status, body = await answer(request.path)
        return bytes(DebugResponse(status=status, body=body).SerializeToString())

    return {DEBUG: {"Get": grpc.unary_unary_rpc_method_handler(handle)}}


async def read(kind: Any, data: bytes, context: Context) -> Any:
    """The message in `data`; the call is ended when it is none."""
    try:
        return kind.FromString(data)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the message is not a {kind.DESCRIPTOR.name}")
