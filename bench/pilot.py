"""pilotd's discovery alone over a registry: `python -m bench.pilot URL`.

Says when it has read everything: {"port", "synced", "cpu"}; for every line that it reads {"cpu", "memory"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from artemon.store.open import open_store
from bench.memory import resident
from bench.streams import served


async def _main(url: str) -> None:
    store = await open_store(url, timeout=30)
    began, cpu = time.perf_counter(), time.process_time()
    async with served(store) as (_, port):
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(json.dumps({"port": port, "synced": took, "cpu": cpu}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps({"cpu": time.process_time(), "memory": resident()}), flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
