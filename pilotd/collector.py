"""When memory is searched for cycles: between changes, for it holds every stream up.

Almost everything that pilotd makes is freed when nothing refers to it; cycles are rare. Left alone, Python
would look at hundreds of thousands of living objects in the midst of a push.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

YOUNG = 10_000
"""New objects until the youngest are searched."""
GROWN = 3
"""Searches of the middle generation (one for ten of the youngest) after which everything new is searched
as soon as there is nothing else to do; after four times as many at once."""
QUIET_SECONDS = 1.0
"""Without changes for so long, there is nothing else to do."""
LOOK_SECONDS = 5.0
ALL_SECONDS = 6 * 3600.0
"""How often what is old is searched too."""
_NEVER = 1_000_000


class Collector:
    """Searches this process's memory. quiet: seconds since something was last done for proxies; now: a clock
    that does not jump, seconds."""

    def __init__(self, quiet: Callable[[], float], *, now: Callable[[], float]) -> None:
        self._quiet = quiet
        self._now = now
        self._all_at = now() + ALL_SECONDS

    async def run(self) -> None:
        """Search until cancelled; at once for the first time. Python's own settings are back after that."""
        before = gc.get_threshold()
        gc.set_threshold(YOUNG, before[1], _NEVER)
        try:
            self._search()
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self.look()
        finally:
            gc.set_threshold(*before)
            gc.unfreeze()

    def look(self) -> bool:
        """Search if it is time to; whether it was."""
        grown = gc.get_count()[2]
        quiet = self._quiet() >= QUIET_SECONDS
        due = grown >= GROWN and (quiet or grown >= 4 * GROWN)
        if due or (quiet and self._now() >= self._all_at):
            self._search()
            return True
        return False

    def _search(self) -> None:
        """Search what is new, and what is old when that is due; what lives on is old from now on."""
        if self._now() >= self._all_at:
            gc.unfreeze()
            self._all_at = self._now() + ALL_SECONDS
        gc.collect()
        gc.freeze()
