"""Proxies that are none: `python strangers.py ADDRESS IDENTITY ACCOUNT COUNT storm|stuck`.

A storm is COUNT proxies that all connect at once, take everything, and say when the last is in step, again
and again. Those that are stuck ask for everything and never read what they are told.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from artemon.daemon.identity_files import Identity, load_identity
from artemon.daemon.identity_tls import channel_options, grpc_channel_credentials
from artemon.pki.spiffe import SpiffeId
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
WINDOW = 1024
"""Bytes that a stuck one takes, so that even a small mesh is more."""
ALONE = ("grpc.use_local_subchannel_pool", 1)
SMALL = (("grpc.http2.lookahead_bytes", WINDOW), ("grpc.http2.bdp_probe", 0))


def _channel(address: str, identity: Identity, *more: tuple[str, int]) -> grpc.aio.Channel:
    options = [*channel_options("pilotd"), ALONE, *more]
    return grpc.aio.secure_channel(address, grpc_channel_credentials(identity), options=options)


def _first(number: int, account: str) -> bytes:
    first = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER)
    first.node.id = (
        f"sidecar~127.9.{number >> 8}.{number & 255}~stranger-{number}.shop~shop.svc.cluster.local"
    )
    first.node.metadata.update(
        {
            "NAMESPACE": "shop",
            "SERVICE_ACCOUNT": account,
            "INTERCEPTION_MODE": "NONE",
            "HTTP_PROXY_PORT": "15080",
        }
    )
    return bytes(first.SerializeToString())


def _request(type_url: str, *names: str, nonce: str = "") -> bytes:
    asked = discovery_pb2.DeltaDiscoveryRequest(
        type_url=type_url, resource_names_subscribe=names, response_nonce=nonce
    )
    return bytes(asked.SerializeToString())


async def _ask(channel: grpc.aio.Channel, number: int, account: str) -> grpc.aio.StreamStreamCall:  # type: ignore[type-arg]
    call = channel.stream_stream(METHOD)()
    await call.write(_first(number, account))
    for asked in (_request(LISTENER), _request(ROUTES, "http_proxy"), _request(ENDPOINTS, "*")):
        await call.write(asked)
    return call


async def _in_step(
    address: str, identity: Identity, number: int, account: str, done: asyncio.Barrier
) -> None:
    """Connect until it has clusters, listeners and routes; hold on until everybody has."""
    while True:
        async with _channel(address, identity) as channel:
            try:
                call, seen = await _ask(channel, number, account), set[str]()
                while not {CLUSTER, LISTENER, ROUTES} <= seen:
                    data = await call.read()
                    if not isinstance(data, bytes):
                        raise grpc.aio.UsageError("the stream is over")
                    told = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
                    seen.add(told.type_url)
                    await call.write(_request(told.type_url, nonce=told.nonce))
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
                await asyncio.sleep(0.5)
                continue
            await done.wait()
            return


async def _storm(address: str, identity: Identity, account: str, count: int) -> None:
    while True:
        began, done = time.monotonic(), asyncio.Barrier(count)
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                tasks.create_task(_in_step(address, identity, number, account, done))
        _say(f"{count} in step after {time.monotonic() - began:.1f} s")


async def _stuck(address: str, identity: Identity, account: str, count: int) -> None:
    async with AsyncExitStack() as stack:
        calls = []
        for number in range(count):
            channel = await stack.enter_async_context(_channel(address, identity, *SMALL))
            calls.append(await _ask(channel, number, account))
        _say(f"{count} are stuck")
        await asyncio.Event().wait()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    address, folder, account, count, way = sys.argv[1:]
    identity = load_identity(Path(folder), SpiffeId("cluster.local", "shop", account), datetime.now(UTC))
    assert identity is not None
    asyncio.run((_storm if way == "storm" else _stuck)(address, identity, account, int(count)))


if __name__ == "__main__":
    main()
