"""Whether a daemon is ready, and what it waits for; how old its view is."""

from __future__ import annotations

import asyncio


class Health:
    """Named conditions, each met or not with a reason. Ready: all are met. A new Health has none.

    degraded: what is met, but not as it should be, with reasons: the daemon does its work, and says so.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}
        self._known: set[str] = set()
        self._degraded: dict[str, str] = {}
        self._changed = asyncio.Event()

    def expect(self, condition: str, reason: str) -> None:
        """`condition` does not hold (any more); `reason` says what is waited for."""
        self._known.add(condition)
        self._waiting[condition] = reason
        self._changed.set()

    def meet(self, condition: str) -> None:
        """`condition` holds."""
        self._known.add(condition)
        self._waiting.pop(condition, None)
        self._changed.set()

    def degrade(self, condition: str, reason: str) -> None:
        """`condition` holds, but for `reason`; "": it holds wholly again."""
        self._degraded.pop(condition, None)
        if reason:
            self._degraded[condition] = reason

    @property
    def ready(self) -> bool:
        """Whether every condition is met."""
        return not self._waiting

    @property
    def waiting(self) -> dict[str, str]:
        """The conditions that are not met, with reasons."""
        return dict(self._waiting)

    def report(self) -> dict[str, object]:
        """What /readyz answers."""
        return {
            "ready": self.ready,
            "met": sorted(self._known - self._waiting.keys()),
            "waiting": self.waiting,
            "degraded": dict(self._degraded),
        }

    async def wait_ready(self) -> None:
        """Return when every condition is met."""
        while not self.ready:
            self._changed.clear()
            await self._changed.wait()
