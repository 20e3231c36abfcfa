"""A relay between a client and etcd that loses, repeats and reorders what watches tell."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from servers import free_ports

from artemon.api.v1 import etcd_pb2 as pb


class Losing(grpc.GenericRpcHandler):
    """Every method passes as it is, but for events. share: of the events that are lost. lost: their keys, and
    whether they were deletions."""

    def __init__(self, channel: Any, chance: random.Random, *, share: float) -> None:
        self._channel, self._chance, self.share = channel, chance, share
        self.lost: list[tuple[str, bool]] = []
        self.repeated = self.late = 0

    def service(self, details: Any) -> Any:
        """See `grpc.GenericRpcHandler`."""
        method = details.method

        async def carry(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            metadata = [(key, value) for key, value in context.invocation_metadata() if key != "user-agent"]
            call, kept = self._channel.stream_stream(method)(requests, metadata=metadata), list[bytes]()
            try:
                async for answer in call:
                    for one in self._told(answer, kept) if method.endswith("/Watch") else [answer]:
                        yield one
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details())
            finally:
                call.cancel()

        return grpc.stream_stream_rpc_method_handler(carry)

    def _told(self, answer: bytes, kept: list[bytes]) -> list[bytes]:
        """What becomes of one answer of a watch. kept: what comes after the next one."""
        told = pb.WatchResponse.FromString(answer)
        if not told.events:
            return [answer]
        left = []
        for event in told.events:
            if self._drawn():
                self.lost.append((event.kv.key.decode(), event.type == pb.Event.DELETE))
            else:
                left.append(event)
        del told.events[:]
        told.events.extend(left)
        found = [told.SerializeToString()] if left else []
        if found and not kept and self._drawn():
            self.late += 1
            kept += found
            return []
        if found and self._drawn():
            self.repeated += 1
            found *= 2
        found += kept
        kept.clear()
        return found

    def _drawn(self) -> bool:
        return self._chance.random() < self.share


@asynccontextmanager
async def losing_relay(port: int, *, seed: int, share: float) -> AsyncIterator[tuple[int, Losing]]:
    """The port of a relay to the etcd at `port`, and what it did."""
    (own,) = free_ports(1)
    server = grpc.aio.server()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        losing = Losing(channel, random.Random(seed), share=share)
        server.add_generic_rpc_handlers((losing,))
        server.add_insecure_port(f"127.0.0.1:{own}")
        await server.start()
        try:
            yield own, losing
        finally:
            await server.stop(0)
