"""Keeps the file of the last good configuration up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path

from artemon.errors import ArtemonError
from artemon.log import Log
from proxyd import lastgood
from proxyd.bells import Bells
from proxyd.metrics import Metrics
from proxyd.view import View

SAVE_SECONDS = 0.2
REST_SECONDS = 2.0


class Saving:
    """Writes what Envoy has accepted, a moment after it has changed, and then rests. node: whom it is for."""

    def __init__(
        self, view: View, file: Path, node: str, *, moved: Bells, log: Log, metrics: Metrics
    ) -> None:
        self._view = view
        self._file = file
        self._node = node
        self._moved = moved
        self._log = log
        self._metrics = metrics
        self._saved = 0

    async def follow(self) -> None:
        """Until cancelled."""
        with self._moved.listen() as wake:
            while True:
                await wake.wait()
                wake.clear()
                if self._view.revision != self._saved:
                    await asyncio.sleep(SAVE_SECONDS)
                    await self.save()
                    await asyncio.sleep(REST_SECONDS)
                    wake.set()

    async def save(self) -> None:
        """At once, if there is something new; a failure is logged."""
        if self._view.revision == self._saved:
            return
        self._saved = self._view.revision
        try:
            await asyncio.to_thread(lastgood.save, self._file, self._node, self._view.good())
            self._metrics.saved.set_to_current_time()
        except ArtemonError as error:
            self._log.error("last-good configuration not saved", reason=str(error))
