"""What is done again and again: a failure is told, and the next time may go better."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from artemon.daemon.health import Health
from artemon.errors import ArtemonError
from artemon.log import Log


class Upkeep:
    """Work that is repeated from `start` until `stop`."""

    def __init__(self, health: Health, log: Log) -> None:
        self._health, self._log = health, log
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def repeat(self, work: Callable[[], Awaitable[None]], seconds: int, *, told: bool = False) -> None:
        """Do `work` about every so many seconds. told: while it fails, /readyz says so."""
        name = work.__name__.strip("_")

        async def tried() -> None:
            try:
                await work()
                reason = ""
            except (ArtemonError, OSError) as error:
                reason = str(error)
                self._log.error("upkeep_failed", work=name, reason=error)
            if told:
                self._health.degrade(name, reason)

        self._scheduler.add_job(
            tried, "interval", seconds=seconds, jitter=seconds // 10, coalesce=True, max_instances=1
        )

    def start(self) -> None:
        """Work, in the running loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Begin nothing more; what runs goes on."""
        self._scheduler.shutdown(wait=False)
