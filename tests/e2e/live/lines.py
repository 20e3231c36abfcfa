"""Lines between daemons and the members of the registry, which can become slow, be cut, and be mended."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from servers import free_ports

CHUNK = 65_536


@dataclass
class Line:
    """To `target` of 127.0.0.1, from `port`. delay: seconds that bytes are on the way. cut: nothing passes,
    and nobody is told."""

    target: int
    port: int = field(default_factory=lambda: free_ports(1)[0])
    delay: float = 0.0
    cut: bool = False
    _ends: dict[asyncio.StreamWriter, asyncio.AbstractEventLoop] = field(default_factory=dict)

    def hang_up(self) -> None:
        """End every connection; from any thread."""
        for end, loop in list(self._ends.items()):
            loop.call_soon_threadsafe(end.transport.abort)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bytes of one direction, until an end closes."""
        queue = asyncio.Queue[tuple[float, bytes]](64)

        async def give() -> None:
            loop = asyncio.get_running_loop()
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                while self.cut:
                    await asyncio.sleep(0.05)
                if not data:
                    return
                writer.write(data)
                await writer.drain()

        async def take() -> None:
            loop = asyncio.get_running_loop()
            while data := await reader.read(CHUNK):
                await queue.put((loop.time() + self.delay, data))
            await queue.put((0.0, b""))

        with contextlib.suppress(OSError):
            await asyncio.gather(take(), give())
        writer.close()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        loop = asyncio.get_running_loop()
        self._ends |= {writer: loop, back: loop}
        with contextlib.suppress(asyncio.CancelledError):  # asyncio's streams would report it as a fault
            await asyncio.gather(self.carry(reader, back), self.carry(there, writer))
        del self._ends[writer], self._ends[back]


@contextmanager
def relayed(lines: list[Line]) -> Iterator[None]:
    """All lines carry while the block runs, in a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lines")
    thread.start()

    async def start() -> None:
        for line in lines:
            await asyncio.start_server(line.accept, "127.0.0.1", line.port)

    async def stop() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
