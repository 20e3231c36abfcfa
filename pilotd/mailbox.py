"""A mailbox with one slot: only the newest counts, nothing queues."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from pilotd.alarm import Alarm

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the last value put; a reader is woken once, however often it was written."""

    def __init__(self, value: T) -> None:
        self.value = value
        self._news = False
        self._wake = asyncio.Event()
        self._late = Alarm(self._wake.set)

    def put(self, value: T) -> None:
        """Replace the value and wake the reader."""
        self.value = value
        self.nudge()

    def nudge(self) -> None:
        """Wake the reader: the value has not changed, but what it means for the reader has."""
        self._news = True
        self._wake.set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Return at the next news (True), or after `seconds` without any (False)."""
        if not self._news:
            self._wake.clear()
            if seconds is not None:
                self._late.set(seconds)
            try:
                await self._wake.wait()
            finally:
                self._late.clear()
        news, self._news = self._news, False
        return news

    def close(self) -> None:
        """Nobody reads any more."""
        self._late.close()
