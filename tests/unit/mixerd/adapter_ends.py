"""Backends of adapters for tests: what they get can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client import CollectorRegistry

from artemon.adapters import Handler, Place, Row
from artemon.adapters.catalog import named, read_params
from artemon.expr.values import Timestamp, parse_address
from artemon.log import Log
from artemon.model.duration import Nanoseconds

NOW = 1_700_000_000.25


def place(folder: Path, metrics: CollectorRegistry | None = None, **more: Any) -> Place:
    """Where a handler lives."""
    registry = metrics or CollectorRegistry()
    return Place("shop/x", Log("test"), registry, folder, lambda: NOW, **more)


def opened(adapter: str, params: dict[str, Any], where: Place) -> Handler:
    """A handler of an installed adapter."""
    found = named(adapter)
    read, problems = read_params(found, params)
    assert problems == []
    assert read is not None
    assert list(found.problems(read, ())) == []
    return found.open(read, where)


def metric(value: Any = 1, name: str = "hits", **dimensions: Any) -> Row:
    return Row(f"shop/{name}", "metric", {"value": value, "dimensions": dimensions})


def logentry(name: str = "line", **variables: Any) -> Row:
    at = Timestamp(1_700_000_000_000_000_000)
    return Row(f"shop/{name}", "logentry", {"severity": "warning", "timestamp": at, "variables": variables})


EVERYTHING = {
    "text": "ü\n",
    "whole": 7,
    "true": True,
    "address": parse_address("::ffff:10.0.0.1"),
    "took": Nanoseconds(250_000_000),
    "labels": {"a": "b"},
}


@dataclass
class End:
    """What arrived, and where it listens."""

    port: int = 0
    got: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def until(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        async with asyncio.timeout(30):
            while not enough(self.got):
                await asyncio.sleep(0.01)
        return self.got


@asynccontextmanager
async def udp() -> AsyncIterator[End]:
    """Datagrams."""
    end = End()

    class Took(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            end.got.append(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Took, local_addr=("127.0.0.1", 0))
    end.port = transport.get_extra_info("sockname")[1]
    yield end
    transport.close()


@asynccontextmanager
async def tcp(serve: Callable[[End, asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[End]:
    """Connections, each served."""
    end = End()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(end, reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    end.port = server.sockets[0].getsockname()[1]
    yield end
    server.close()


async def all_bytes(end: End, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Keeps what comes as it comes."""
    while data := await reader.read(65536):
        end.got.append(data)


async def fluentd(end: End, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads messages of forward mode and acknowledges them."""
    said = b""
    while data := await reader.read(65536):
        said += data
        try:
            tag, events, options = msgspec.msgpack.decode(said)
        except msgspec.DecodeError:
            continue
        said = b""
        end.got += [(tag, when, record) for when, record in events]
        writer.write(msgspec.msgpack.encode({"ack": options["chunk"]}))


@asynccontextmanager
async def otlp() -> AsyncIterator[End]:
    """A collector."""
    end = End()

    def taken(request: Any, answer: Any) -> grpc.RpcMethodHandler[Any, Any]:
        async def export(message: Any, _: Any) -> Any:
            end.got.append(message)
            return answer()

        return grpc.unary_unary_rpc_method_handler(
            export, request.FromString, lambda one: one.SerializeToString()
        )

    server = grpc.aio.server()
    base = "opentelemetry.proto.collector"
    services = {
        f"{base}.logs.v1.LogsService": taken(ExportLogsServiceRequest, ExportLogsServiceResponse),
        f"{base}.metrics.v1.MetricsService": taken(ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    }
    for service, export in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": export}),))
    end.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield end
    await server.stop(None)
