"""pilotd over a large cluster: 5,000 Services, 50,000 endpoints that are pods, 500 nodes.

The API server is our own in a process of its own (`bench.kube_api`), over TLS; a proxy is connected and takes
everything. Beside elapsed time there is pilotd's processor time, which holds on a busy machine too.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import grpc
from envoy.service.discovery.v3 import discovery_pb2

from artemon.registry.open import open_registries
from artemon.store.open import open_store
from artemon.xds.types import ENDPOINTS
from bench.clients import OPTIONS, Streams, follow_resources
from bench.kube_api import address
from bench.memory import resident
from bench.report import Figure
from bench.streams import served
from bench.tls import self_signed

CHANGES = 100
PAUSE = 0.05


async def _pilot(url: str) -> None:
    """pilotd's discovery over a cluster; for every line that it reads its processor time and memory."""
    store = await open_store("memory://")
    began, cpu = time.perf_counter(), time.process_time()
    async with served(store, registries=open_registries([url])) as (_, port):
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(json.dumps({"port": port, "synced": took, "cpu": cpu}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps({"cpu": time.process_time(), "memory": resident()}), flush=True)
    await store.close()


class Child:
    """A process of the benchmark's own."""

    def __init__(self, *command: str) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, "-m", *command], stdin=pipe, stdout=pipe, text=True)

    async def ask(self, line: str = "\n") -> Any:
        """What it says to a line ("": next)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if line:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        return json.loads(await asyncio.to_thread(self._process.stdout.readline))

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def _kubeconfig(folder: Path, server: str, ca: Path) -> Path:
    config = {
        "current-context": "b",
        "clusters": [{"name": "b", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "b", "user": {"token": "t"}}],
        "contexts": [{"name": "b", "context": {"cluster": "b", "user": "b"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


class Arrivals:
    """When instances arrived at the proxy, by address."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self.news = asyncio.Event()
        self.watching = ""

    def take(self, data: bytes) -> None:
        """A response."""
        if self.watching and self.watching.encode() in data:
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            if response.type_url == ENDPOINTS:
                self.seen[self.watching] = time.perf_counter()
                self.news.set()


@asynccontextmanager
async def _connected(port: int, arrivals: Arrivals) -> AsyncIterator[Streams]:
    streams = Streams()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        task = asyncio.ensure_future(follow_resources(channel, 0, streams, arrivals.take))
        try:
            while not streams.ready:
                await asyncio.sleep(0.01)
            yield streams
        finally:
            task.cancel()


async def _changes(server: str, ca: Path, arrivals: Arrivals) -> list[float]:
    """Seconds from a change in the cluster to its bytes at the proxy."""
    context, taken = ssl.create_default_context(cafile=str(ca)), []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        for number in range(1, CHANGES + 1):
            service = number % 1000
            arrivals.watching = address(service, 0, number)
            arrivals.news.clear()
            began = time.perf_counter()
            query = {"service": str(service), "shift": str(number)}
            async with session.post(f"{server}/change", params=query) as answer:
                answer.raise_for_status()
            await asyncio.wait_for(arrivals.news.wait(), 60)
            taken.append(arrivals.seen[arrivals.watching] - began)
            await asyncio.sleep(PAUSE)
    return taken


async def _measure(folder: Path) -> list[Figure]:
    certificate, key = self_signed(folder)
    api = Child("bench.kube_api", str(certificate), str(key))
    pilot: Child | None = None
    try:
        server = f"https://localhost:{await api.ask('')}"
        config = _kubeconfig(folder, server, certificate)
        pilot = Child("bench.kube", f"kubernetes://{config}?name=bench")
        ready = await pilot.ask("")
        idle, arrivals = await pilot.ask(), Arrivals()
        async with _connected(ready["port"], arrivals):
            await asyncio.sleep(6)
            before = await pilot.ask()
            taken = await _changes(server, certificate, arrivals)
            after = await pilot.ask()
    finally:
        for one in (api, pilot):
            if one is not None:
                one.end()
    spent = (after["cpu"] - before["cpu"]) / CHANGES
    return [
        Figure("first sync: read and in a snapshot", ready["synced"], "s", goal=10),
        Figure("the same, pilotd's CPU", ready["cpu"], "s", goal=10),
        Figure("one EndpointSlice changed to bytes at a proxy, p50", median(taken) * 1e3, "ms", goal=20),
        Figure("the same, p99", quantiles(taken, n=100)[98] * 1e3, "ms"),
        Figure("the same, pilotd's CPU for one change", spent * 1e3, "ms", goal=20),
        Figure("pilotd (RSS), nobody connected", idle["memory"], "MB", goal=600),
        Figure("pilotd (RSS), one proxy that takes everything", after["memory"], "MB", goal=600),
    ]


def run() -> list[Figure]:
    """The figures."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


if __name__ == "__main__":
    asyncio.run(_pilot(sys.argv[1]))
