"""How the workload does, from what its probe and its unit say and what operators want."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from artemon.log import Log
from artemon.model.service import Health

PROBE, UNIT = "probe", "unit"
"""Who says whether the application is ready: a probe, and systemd of its unit."""


class Wellbeing:
    """waits: who must say that the application is ready; nobody: it always is. feel: is told of every
    change."""

    def __init__(self, feel: Callable[[Health], None], log: Log, *, waits: Iterable[str] = ()) -> None:
        self._feel = feel
        self._log = log
        self._unready = set(waits)
        self._draining = False
        self._feel(self.health)

    @property
    def health(self) -> Health:
        """Draining counts for more: whoever drains is not to get requests, ready or not."""
        if self._draining:
            return Health.DRAINING
        return Health.UNHEALTHY if self._unready else Health.HEALTHY

    def said(self, who: str, ready: bool, reason: str) -> None:
        """One of those who are waited for may have changed its mind."""
        unready = self._unready - {who} if ready else self._unready | {who}
        self._change(unready, self._draining, reason)

    def drain(self, draining: bool) -> None:
        """An operator wants no more requests here, or wants them again."""
        self._change(self._unready, draining, "asked to drain" if draining else "asked to serve again")

    def _change(self, unready: set[str], draining: bool, reason: str) -> None:
        before = self.health
        self._unready, self._draining = unready, draining
        if self.health is not before:
            self._log.info("workload feels", health=self.health.value, reason=reason)
            self._feel(self.health)


@dataclass(slots=True)
class Streak:
    """Results in a row that are needed to change one's mind (Kubernetes, probes). ready: None before the
    first result that counts."""

    successes: int
    failures: int
    ready: bool | None = None
    _last: bool = False
    _row: int = 0

    def saw(self, good: bool) -> bool:
        """One more result; whether it changed `ready`. The first failure counts at once: nothing is lost."""
        self._row = self._row + 1 if self._row and good is self._last else 1
        self._last = good
        needed = self.successes if good else (1 if self.ready is None else self.failures)
        if self._row < needed or self.ready is good:
            return False
        self.ready = good
        return True
