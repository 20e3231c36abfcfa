"""How often to act on changes: the first at once, those that follow after a pause that the work sets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Debounce:
    """After work that took `cost` seconds, the next may begin max(least, factor * cost) after its end.

    That bounds its share of the processor to 1 / (1 + factor), and costs an isolated change nothing.
    Time is an argument: seconds of any clock that does not jump.
    """

    least: float = 0.010
    factor: float = 3.0
    _free_at: float = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until work may begin; 0 when it may now."""
        return max(0.0, self._free_at - now)

    def worked(self, started: float, ended: float) -> None:
        """Work was done."""
        self._free_at = ended + max(self.least, self.factor * (ended - started))
