"""A mailbox with one slot: only the newest counts, nothing queues."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the last value put; a reader is woken once, however often it was written."""

    def __init__(self, value: T) -> None:
        self.value = value
        self._news = asyncio.Event()

    def put(self, value: T) -> None:
        """Replace the value and wake the reader."""
        self.value = value
        self._news.set()

    def nudge(self) -> None:
        """Wake the reader: the value has not changed, but what it means for the reader has."""
        self._news.set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Return at the next news (True), or after `seconds` without any (False)."""
        if seconds is None or self._news.is_set():
            await self._news.wait()
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return False
        self._news.clear()
        return True
