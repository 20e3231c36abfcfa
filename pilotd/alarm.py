"""A deadline that is set and cleared far more often than it passes: one timer serves many of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` once when the time last set has come and was not cleared."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Ring in `seconds` from now, unless set anew or cleared before."""
        loop = asyncio.get_running_loop()
        self._due = due = loop.time() + seconds
        if self._timer is not None and self._timer.when() <= due:
            return
        self.close()
        self._due, self._timer = due, loop.call_at(due, self._look)

    def clear(self) -> None:
        """Do not ring."""
        self._due = None

    def close(self) -> None:
        """Do not ring, and keep no timer."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        due, self._timer = self._due, None
        if due is None:
            return
        loop = asyncio.get_running_loop()
        if due > loop.time():
            self._timer = loop.call_at(due, self._look)
        else:
            self._due = None
            self._ring()
