"""10,000 instances in a real registry: the first sync, and one change until its bytes are at a proxy.

`python -m bench.registry URL...`, for registries that run and hold no mesh.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Any

import grpc

from artemon.store.api import MAX_TXN_OPS, Delete, Store
from artemon.store.follow import Follow
from artemon.store.layout import Layout
from artemon.store.open import open_store
from bench import world as mesh
from bench.clients import OPTIONS, Streams, follow_resources
from bench.report import Figure, show
from bench.streams import fill

CHANGES = 200
PAUSE = 0.1
LAYOUT = Layout()
GOALS = {"etcd": 50.0, "consul": 150.0}
"""Milliseconds of one change from the registry to bytes for Envoy, p99."""


async def clean(store: Store) -> None:
    """Empty the mesh."""
    keys = [entry.key for entry in (await store.list(LAYOUT.root)).entries]
    for start in range(0, len(keys), MAX_TXN_OPS):
        await store.txn([], [Delete(key) for key in keys[start : start + MAX_TXN_OPS]])


async def timed(writer: Store, seen: Callable[[int], Awaitable[None]], *, first: int) -> list[float]:
    """Milliseconds of each of many changes, from the call of `put` until it is `seen`. first: its number.
    Each number is another value."""
    found: list[float] = []
    for number in range(first, first + CHANGES):
        service = number * 37 % mesh.SERVICES
        value = mesh.instance(service, number % mesh.ENDPOINTS, shift=number)
        began = time.perf_counter()
        writing = asyncio.ensure_future(writer.put(_key(number), value))
        await seen(number)
        found.append(1000 * (time.perf_counter() - began))
        await writing
        await asyncio.sleep(PAUSE)
    return found


def _key(number: int) -> str:
    return LAYOUT.root + mesh.key(number * 37 % mesh.SERVICES, number % mesh.ENDPOINTS)


def _address(number: int) -> bytes:
    return f"11.0.{number >> 8}.{number & 255}".encode()


async def measure_view(writer: Store, url: str) -> list[Figure]:
    """A view alone, as every daemon has it."""
    reader, changed = await open_store(url, timeout=30), asyncio.Event()
    follow = Follow(reader, LAYOUT.root, lambda _: changed.set())

    async def seen(number: int) -> None:
        while _address(number) not in follow.entries[_key(number)].value:
            changed.clear()
            await changed.wait()

    began = time.perf_counter()
    running = asyncio.ensure_future(follow.run())
    await follow.synced.wait()
    synced = time.perf_counter() - began
    times = await timed(writer, seen, first=1)
    running.cancel()
    await asyncio.wait([running])
    await reader.close()
    return [
        Figure("a view of 10,000 instances, first sync", synced, "s", goal=2),
        *_latencies("one change until a view has it", times),
    ]


@asynccontextmanager
async def _pilot(url: str) -> AsyncIterator[tuple[dict[str, Any], Callable[[], Awaitable[dict[str, Any]]]]]:
    """A pilotd over the registry, what it said when it was ready, and the question what it has used."""
    pilot = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.pilot", url, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert pilot.stdin is not None
    assert pilot.stdout is not None
    stdin, stdout = pilot.stdin, pilot.stdout

    async def used() -> dict[str, Any]:
        stdin.write(b"\n")
        return dict(json.loads(await stdout.readline()))

    yield json.loads(await stdout.readline()), used
    pilot.terminate()
    await pilot.wait()


async def measure_pilot(writer: Store, url: str) -> list[Figure]:
    """A whole pilotd, and one proxy that has asked for everything."""
    async with (
        _pilot(url) as (ready, used),
        grpc.aio.insecure_channel(f"127.0.0.1:{ready['port']}", options=OPTIONS) as channel,
    ):
        streams, seen = Streams(), Seen()
        following = asyncio.ensure_future(follow_resources(channel, 0, streams, seen.take))
        while streams.ready < 1:
            await asyncio.sleep(0.01)
        await asyncio.sleep(2)
        before = await used()
        times = await timed(writer, seen.until, first=CHANGES + 1)
        after = await used()
        following.cancel()
    cpu = 1000 * (after["cpu"] - before["cpu"]) / CHANGES
    kind = url.partition(":")[0]
    return [
        Figure("pilotd with 10,000 instances, start to ready", ready["synced"], "s", goal=2),
        Figure("pilotd's CPU for it", ready["cpu"], "s"),
        *_latencies("one change until its bytes are at a proxy", times, goal=GOALS.get(kind)),
        Figure("pilotd's CPU for one change", cpu, "ms"),
        Figure("pilotd's memory (RSS)", after["memory"], "MB", goal=250),
    ]


class Seen:
    """What has arrived at a proxy."""

    def __init__(self) -> None:
        self._number, self._found = 0, asyncio.Event()

    def take(self, data: bytes) -> None:
        """A response came."""
        if _address(self._number) in data:
            self._found.set()

    async def until(self, number: int) -> None:
        """Return when the address of this change has arrived."""
        self._number = number
        self._found.clear()
        await self._found.wait()


def _latencies(what: str, times: list[float], goal: float | None = None) -> list[Figure]:
    cuts = quantiles(times, n=100)
    return [Figure(f"{what}, p50", cuts[49], "ms"), Figure("the same, p99", cuts[98], "ms", goal=goal)]


async def measure(url: str) -> list[Figure]:
    """All figures of a registry."""
    writer = await open_store(url, timeout=30)
    await clean(writer)
    await fill(writer)
    figures = [*await measure_view(writer, url), *await measure_pilot(writer, url)]
    await clean(writer)
    await writer.close()
    return figures


def main() -> None:
    """Print the figures of every registry, with the machine's load."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for url in sys.argv[1:]:
        before = os.getloadavg()[0]
        figures = asyncio.run(measure(url))
        show(f"{url} (load {before:.1f} before, {os.getloadavg()[0]:.1f} after)", figures)


if __name__ == "__main__":
    main()
