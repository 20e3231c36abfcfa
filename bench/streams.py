"""Connected delta streams: from a write in the registry to the last ACK, over gRPC on loopback.

Clients run in a process of their own, so that what they cost is not pilotd's.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import quantiles

from prometheus_client import CollectorRegistry

from artemon.daemon.health import Health
from artemon.log import Log
from artemon.registry.open import Opened
from artemon.store import clock
from artemon.store.api import Put, Store
from artemon.store.open import open_store
from bench import world as mesh
from bench.report import Figure
from pilotd.collector import Collector
from pilotd.discovery import Discovery, Options
from pilotd.server import listening

STREAMS = 200
CHANGES = 60
PAUSE = 0.1
SETTLE = 6.0
"""Seconds until pilotd, which is idle then, has put its memory in order."""


async def fill(store: Store) -> None:
    """Write the mesh into a registry."""
    for service in range(mesh.SERVICES):
        ops = [
            Put(f"artemon/default/{mesh.key(service, number)}", mesh.instance(service, number))
            for number in range(mesh.ENDPOINTS)
        ]
        await store.txn([], ops)


@asynccontextmanager
async def served(store: Store, registries: tuple[Opened, ...] = ()) -> AsyncIterator[tuple[Discovery, int]]:
    """A discovery over a registry, and others beside it; yields it with its plaintext port."""
    options = Options(pilot="bench", require_identity=False, registries=registries)
    discovery = Discovery(store, options, log=Log("pilotd"), registry=CollectorRegistry())
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(discovery.run(Health()))
        while not discovery.fleet.ready:
            await asyncio.sleep(0.01)
        collecting = tasks.create_task(Collector(discovery.publisher.quiet, now=clock.now).run())
        page = discovery.pages.page
        async with listening("127.0.0.1:0", discovery.serving, page, credentials=None) as port:
            yield discovery, port
        work.cancel()
        collecting.cancel()


async def _measure() -> list[Figure]:
    store = await open_store("memory://")
    await fill(store)
    async with served(store) as (discovery, port):
        began = time.perf_counter()
        clients = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.clients", str(port), str(STREAMS), stdout=subprocess.PIPE
        )
        assert clients.stdout is not None
        ready = json.loads(await clients.stdout.readline())
        storm = time.perf_counter() - began
        await asyncio.sleep(SETTLE)
        cpu, latencies = time.process_time(), []
        for number in range(1, CHANGES + 1):
            started = time.perf_counter()
            where = f"artemon/default/{mesh.key(number % mesh.SERVICES, 0)}"
            await store.put(where, mesh.instance(number % mesh.SERVICES, 0, shift=number))
            await _acked(discovery)
            latencies.append(time.perf_counter() - started)
            await asyncio.sleep(PAUSE)
        cpu = (time.process_time() - cpu) / CHANGES
        clients.terminate()
        await clients.wait()
    await store.close()
    cuts = quantiles(latencies, n=100)
    return [
        Figure(f"{STREAMS} streams connected and in step", storm, "s"),
        Figure("received by each of them, mean", ready["bytes"] / STREAMS / 1e6, "MB"),
        Figure("one instance changed to the last ACK, p50", cuts[49] * 1e3, "ms"),
        Figure("the same, p99", cuts[98] * 1e3, "ms", goal=100),
        Figure("pilotd's CPU for one change and its ACKs", cpu * 1e3, "ms"),
        Figure("the same per stream", cpu / STREAMS * 1e6, "us"),
    ]


async def _acked(discovery: Discovery) -> None:
    """Return when every stream has everything of the newest snapshot of another revision than before."""
    clients = discovery.fleet.clients
    before = discovery.world.position
    while discovery.world.position == before:
        await asyncio.sleep(0.0005)
    wanted = discovery.world.position[1]
    while any(client.report is None or client.report.changed < wanted for client in clients):
        await asyncio.sleep(0.0005)


def run() -> list[Figure]:
    """The figures."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    return asyncio.run(_measure())
