"""A slow network: a relay that delays and narrows what passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servers import free_ports


@asynccontextmanager
async def slow_relay(port: int, *, delay: float, rate: float) -> AsyncIterator[int]:
    """The port of a relay to `port` of 127.0.0.1: `delay` seconds each way, `rate` bytes a second."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bytes arrive `delay` later, in order, however many are on the way."""
        loop, due = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]](64)

        async def take() -> None:
            while data := await reader.read(16_384):
                await due.put((loop.time() + delay, data))
                await asyncio.sleep(len(data) / rate)
            await due.put((0.0, b""))

        async def give() -> None:
            while True:
                when, data = await due.get()
                if not data:
                    writer.close()
                    return
                await asyncio.sleep(max(0.0, when - loop.time()))
                writer.write(data)
                await writer.drain()

        with contextlib.suppress(OSError):
            await asyncio.gather(take(), give())

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    (own,) = free_ports(1)
    server = await asyncio.start_server(accept, "127.0.0.1", own)
    try:
        yield own
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
