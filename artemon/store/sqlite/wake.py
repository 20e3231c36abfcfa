"""Who wakes the watchers of a file: this process's own writes at once, other processes' by looking."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from artemon.errors import StoreError

FASTEST, SLOWEST = 0.002, 0.05
"""Seconds between looks: after a change, and after a while without one."""
IN_MODIFY, IN_CLOEXEC, IN_NONBLOCK = 0x2, 0o2000000, 0o4000


class Wake:
    """Events of the watchers. `follow` looks for other processes' commits while anybody listens: a look is
    certain, and a hint of inotify on the write-ahead log only makes it come sooner (the hint comes before the
    commit can be read, so it is never enough alone)."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Event] = set()
        self._listening = asyncio.Event()

    @contextmanager
    def listener(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something may have changed."""
        event = asyncio.Event()
        self._listeners.add(event)
        self._listening.set()
        try:
            yield event
        finally:
            self._listeners.discard(event)

    def all(self) -> None:
        """Something may have changed."""
        for event in self._listeners:
            event.set()

    async def follow(self, path: str, moved: Callable[[], Awaitable[bool]]) -> None:
        """Look for changes by other connections, often after one, seldom in quiet times."""
        with _hints(path + "-wal") as hint:
            pause = FASTEST
            while True:
                if not self._listeners:
                    self._listening.clear()
                    await self._listening.wait()
                hinted = await _within(hint, pause)
                try:
                    changed = await moved()
                except StoreError:
                    changed = True
                if changed:
                    self.all()
                pause = FASTEST if changed or hinted else min(SLOWEST, pause * 1.5)


async def _within(hint: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await hint.wait()
    except TimeoutError:
        return False
    hint.clear()
    return True


@contextmanager
def _hints(path: str) -> Iterator[asyncio.Event]:
    """An event that inotify(7) sets when `path` is written; never set where there is no inotify."""
    event, descriptor = asyncio.Event(), -1
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "inotify_init1"):
        descriptor = libc.inotify_init1(IN_CLOEXEC | IN_NONBLOCK)
    if descriptor < 0:
        yield event
        return
    loop = asyncio.get_running_loop()

    def read() -> None:
        os.read(descriptor, 65536)
        event.set()

    try:
        libc.inotify_add_watch(descriptor, os.fsencode(path), IN_MODIFY)
        loop.add_reader(descriptor, read)
        yield event
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
