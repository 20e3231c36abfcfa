"""Delta streams that take everything: `python -m bench.clients PORT COUNT`. Says when all are in step."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from bench import world as mesh

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


class Streams:
    """What all streams have received."""

    def __init__(self) -> None:
        self.bytes = 0
        self.ready = 0


def _request(type_url: str, *names: str, nonce: str = "") -> bytes:
    message = discovery_pb2.DeltaDiscoveryRequest(
        type_url=type_url, resource_names_subscribe=names, response_nonce=nonce
    )
    return bytes(message.SerializeToString())


async def _stream(port: int, number: int, streams: Streams) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        await follow_resources(channel, number, streams)


async def follow_resources(
    channel: grpc.aio.Channel, number: int, streams: Streams, take: Callable[[bytes], None] = lambda _: None
) -> None:
    """One proxy, which asks for everything and acknowledges it. take: is given every response."""
    space = mesh.namespace(number)
    first = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER)
    first.node.id = f"sidecar~127.1.{number >> 8}.{number & 255}~p{number}.{space}~{space}.svc.cluster.local"
    first.node.metadata.update(
        {
            "NAMESPACE": space,
            "SERVICE_ACCOUNT": f"p{number}",
            "INTERCEPTION_MODE": "NONE",
            "HTTP_PROXY_PORT": "15080",
            "LABELS": {"app": f"p{number}"},
        }
    )
    names = [f"outbound|80||{mesh.host(service)}" for service in range(mesh.SERVICES)]
    call = channel.stream_stream(METHOD)()
    await call.write(first.SerializeToString())
    await call.write(_request(LISTENER))
    await call.write(_request(ENDPOINTS, *names))
    await call.write(_request(ROUTES, "http_proxy"))
    seen: set[str] = set()
    while True:
        data = await call.read()
        take(data)
        streams.bytes += len(data)
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
        await call.write(_request(response.type_url, nonce=response.nonce))
        if len(seen) < 4:
            seen.add(response.type_url)
            streams.ready += len(seen) == 4


async def _main(port: int, count: int) -> None:
    streams = Streams()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(_stream(port, number, streams))
        while streams.ready < count:
            await asyncio.sleep(0.01)
        gc.collect()
        gc.disable()  # 200 clients in one process would wait for one another's searches; 200 Envoys do not
        print(json.dumps({"bytes": streams.bytes}), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
