"""pilotd's resident memory when idle at full size, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from bench import world as mesh
from bench.report import Figure
from bench.streams import STREAMS, served


def resident() -> float:
    """Megabytes of memory that this process alone holds (private pages)."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return (sizes["Rss:"]) / 1024


async def _measure() -> None:
    empty = resident()
    async with served(mesh.SERVICES) as (_, _, port):
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
    print(json.dumps([empty, idle, busy]))


def run() -> list[Figure]:
    """The figures."""
    command = [sys.executable, "-m", "bench.memory"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    empty, idle, busy = json.loads(done.stdout.splitlines()[-1])
    return [
        Figure("pilotd's code and libraries", empty, "MB"),
        Figure("pilotd with 1,000 services x 10 instances, idle", idle, "MB", goal=120),
        Figure(f"the same with {STREAMS} streams", busy, "MB"),
        Figure("one stream", (busy - idle) / STREAMS * 1024, "KB"),
    ]


if __name__ == "__main__":
    asyncio.run(_measure())
