"""A relay between a client and etcd that changes what etcd says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from servers import free_ports

Change = Callable[[str, bytes], list[bytes]]
"""What becomes of one answer of a method, by its name: other answers, or none."""


class _Relay(grpc.GenericRpcHandler):
    """One stream of answers for one of requests, whatever the method is."""

    def __init__(self, channel: Any, changes: Callable[[], Change]) -> None:
        self._channel, self._changes = channel, changes

    def service(self, details: Any) -> Any:
        """See `grpc.GenericRpcHandler`."""
        method = details.method
        name = method.rpartition("/")[2]

        async def carry(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            metadata = [(key, value) for key, value in context.invocation_metadata() if key != "user-agent"]
            call, change = self._channel.stream_stream(method)(requests, metadata=metadata), self._changes()
            try:
                async for answer in call:
                    for one in change(name, answer):
                        yield one
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details())
            finally:
                call.cancel()

        return grpc.stream_stream_rpc_method_handler(carry)


@asynccontextmanager
async def changing_relay(port: int, changes: Callable[[], Change]) -> AsyncIterator[int]:
    """The port of a relay to the etcd at `port`. changes: makes what changes the answers of one call."""
    (own,) = free_ports(1)
    server = grpc.aio.server()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        server.add_generic_rpc_handlers((_Relay(channel, changes),))
        server.add_insecure_port(f"127.0.0.1:{own}")
        await server.start()
        try:
            yield own
        finally:
            await server.stop(0)
