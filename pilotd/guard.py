"""Holds back the removal of workloads that vanished in numbers without having said goodbye.

A proxy that leaves is seen draining before its record goes. Records that vanish otherwise have expired, or
the registry lost them (`artemon.snapshot.holds`).
"""

from __future__ import annotations

from collections.abc import Iterable

from artemon.model.service import Health
from artemon.model.workload import Workload
from artemon.snapshot.changes import Change, Delete, Upsert
from artemon.snapshot.holds import Holds, Rules

PREFIX = "workloads/"


class Guard:
    """Passes changes on, but for removals that it holds. Time: seconds of a clock that does not jump."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._holds = Holds(rules)

    @property
    def held(self) -> tuple[str, ...]:
        """Keys whose removal is held."""
        return self._holds.held

    @property
    def due(self) -> float | None:
        """When the next held removal goes through."""
        return self._holds.due

    def admit(self, changes: Iterable[Change], *, now: float, restarting: bool = False) -> list[Change]:
        """What of one step may happen now. restarting: the step is the difference between what was known
        before a restart and what the registry has now."""
        passed: list[Change] = []
        gone: list[str] = []
        for change in changes:
            if change.key.startswith(PREFIX) and isinstance(change, Delete):
                gone.append(change.key)
                continue
            if change.key.startswith(PREFIX):
                self._holds.seen(change.key, leaving=_is_draining(change))
            passed.append(change)
        going = self._holds.vanish(gone, now=now, restarting=restarting)
        return [*passed, *map(Delete, going)]

    def settle(self, *, now: float, witnesses: int) -> list[Change]:
        """Of those that vanished over a restart and had the time to come back, those that go. witnesses:
        proxies that came back."""
        return [Delete(key) for key in self._holds.settle(now=now, witnesses=witnesses)]

    def release(self, *, now: float | None = None) -> list[Change]:
        """The held removals that are due; all of them without `now`: an operator says that they are gone."""
        return [Delete(key) for key in self._holds.release(now=now)]


def _is_draining(change: Change) -> bool:
    return (
        isinstance(change, Upsert)
        and isinstance(change.object, Workload)
        and change.object.health is Health.DRAINING
    )
