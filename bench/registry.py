"""10,000 instances in a real registry: the first sync of a view, and one change until the view has it.

`python -m bench.registry URL...`, for registries that run and hold nothing else of the mesh `bench`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from artemon.store.api import Put, Store
from artemon.store.follow import Follow
from artemon.store.layout import Layout
from artemon.store.mirror import Changes
from artemon.store.open import open_store

INSTANCES, CHANGES, SERVICES = 10_000, 200, 100
LAYOUT = Layout("bench")


def record(number: int, step: int = 0) -> bytes:
    """A workload of usual size."""
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    ports = [{"name": "http", "number": 80, "protocol": "HTTP", "listenPort": 8080, "appPort": 8081}]
    labels = {"app": f"s{number % SERVICES}", "version": f"v{step}"}
    fields = {"node": f"n{number}", "service": f"s{number % SERVICES}", "address": address, "ports": ports}
    return json.dumps({**fields, "labels": labels, "serviceAccount": "default", "health": "HEALTHY"}).encode()


def key(number: int) -> str:
    return LAYOUT.workload("shop", f"s{number % SERVICES}", f"n{number}")


async def clean(store: Store) -> None:
    found = [entry.key for entry in (await store.list(LAYOUT.root)).entries]
    for name in found:
        await store.delete(name)


async def measure(url: str) -> str:
    """One line of figures."""
    writer, reader = await open_store(url, timeout=30), await open_store(url, timeout=30)
    await clean(writer)
    for start in range(0, INSTANCES, 64):
        numbers = range(start, min(start + 64, INSTANCES))
        await writer.txn([], [Put(key(number), record(number)) for number in numbers])
    changed = asyncio.Event()

    def handle(_: Changes) -> None:
        changed.set()

    follow = Follow(reader, LAYOUT.root, handle)
    began = time.perf_counter()
    running = asyncio.ensure_future(follow.run())
    await follow.synced.wait()
    sync = time.perf_counter() - began
    times: list[float] = []
    for step in range(1, CHANGES + 1):
        await asyncio.sleep(0.05)
        changed.clear()
        began, value = time.perf_counter(), record(step * 37, step)
        await writer.put(key(step * 37), value)
        while follow.entries[key(step * 37)].value != value:
            await changed.wait()
            changed.clear()
        times.append(1000 * (time.perf_counter() - began))
    running.cancel()
    await asyncio.wait([running])
    await clean(writer)
    await writer.close()
    await reader.close()
    times.sort()
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99) - 1]
    return f"{url}: {INSTANCES} synced in {sync:.2f} s; one change p50 {p50:.0f} ms, p99 {p99:.0f} ms"


if __name__ == "__main__":
    for where in sys.argv[1:]:
        print(asyncio.run(measure(where)))
