"""pilotd's resident memory when idle at full size, in a process of its own, over a registry in a file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pilotd.app  # noqa: F401 - all of pilotd's code is in memory, as in the daemon
from artemon.store.open import open_store
from bench.report import Figure
from bench.streams import STREAMS, fill, served


def resident() -> float:
    """Megabytes of memory that this process holds (RSS)."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return sizes["Rss:"] / 1024


async def _measure(registry: str) -> None:
    empty = resident()
    store = await open_store(registry)
    async with served(store) as (_, port):
        await asyncio.sleep(0.5)
        idle = resident()
        clients = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.clients", str(port), str(STREAMS), stdout=subprocess.PIPE
        )
        assert clients.stdout is not None
        await clients.stdout.readline()
        await asyncio.sleep(2)
        busy = resident()
        clients.terminate()
        await clients.wait()
    await store.close()
    print(json.dumps([empty, idle, busy]))


async def _prepare(registry: str) -> None:
    store = await open_store(registry)
    await fill(store)
    await store.close()


def run() -> list[Figure]:
    """The figures."""
    with TemporaryDirectory() as folder:
        registry = f"sqlite://{folder}/mesh.db"
        asyncio.run(_prepare(registry))
        command = [sys.executable, "-m", "bench.memory", registry]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
    empty, idle, busy = json.loads(done.stdout.splitlines()[-1])
    return [
        Figure("pilotd's code and libraries", empty, "MB"),
        Figure("pilotd with 1,000 services x 10 instances, idle", idle, "MB", goal=120),
        Figure(f"the same with {STREAMS} streams", busy, "MB"),
        Figure("one stream", (busy - idle) / STREAMS * 1024, "KB"),
    ]


if __name__ == "__main__":
    asyncio.run(_measure(sys.argv[1]))
