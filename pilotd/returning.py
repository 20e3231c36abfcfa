"""After a restart: whether those workloads that live have come back.

Their proxies return within seconds of the moment in which they can, here or at another pilotd, and have
records under a living lease then. As long as some do, others may still be on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from artemon.store.api import Entry

RETURN_SECONDS = 6.0
"""After the last one that came back. A proxy waits at most 3 s between two tries (proxyd.upstream)."""
PATIENCE_SECONDS = 60.0
"""The longest that anybody is waited for."""


class Returning:
    """Watches records of workloads. No I/O. now: a clock that does not jump, seconds."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._opened = self._last = float("inf")
        self._leases: dict[str, str] = {}

    def open(self) -> None:
        """From now on those that come back are seen."""
        self._opened = self._last = self._now()

    def take(self, entries: Iterable[Entry]) -> None:
        """Records that are new or changed. One under another lease than before came back."""
        for entry in entries:
            if self._leases.get(entry.key) != entry.lease:
                self._leases[entry.key] = entry.lease
                if self._opened <= self._now():
                    self._last = self._now()

    @property
    def over(self) -> bool:
        """Whether everybody who lives is back, as far as can be known."""
        return self.late or self._now() - self._last >= RETURN_SECONDS

    @property
    def late(self) -> bool:
        """Whether nobody is waited for any more, whatever happens."""
        return self._now() - self._opened >= PATIENCE_SECONDS
