"""Holds back the removal of workloads that vanished in numbers without having said goodbye.

A proxy that leaves is seen draining before its record goes. Records that vanish otherwise have expired, or
the registry lost them: both happen to many at once when control plane or registry fail, and then their
endpoints are still there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from artemon.model.service import Health
from artemon.model.workload import Workload
from artemon.snapshot.changes import Change, Delete, Upsert

PREFIX = "workloads/"


@dataclass(frozen=True, slots=True)
class Rules:
    """hold: seconds that a mass removal is held. restart: seconds that proxies have to come back after a
    restart. window: seconds within which removals count as one. service, mesh: the share, above which
    removals are held; of the mesh only from `few` removals on."""

    hold: float = 300.0
    restart: float = 60.0
    window: float = 30.0
    service: float = 0.5
    mesh: float = 0.3
    few: int = 3


class Guard:
    """Passes changes on, but for removals that it holds. Time: seconds of a clock that does not jump."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._present: dict[str, bool] = {}
        """Key of a workload in force -> whether it is draining."""
        self._held: dict[str, float] = {}
        self._vanished: dict[str, float] = {}

    @property
    def held(self) -> tuple[str, ...]:
        """Keys whose removal is held."""
        return tuple(self._held)

    @property
    def due(self) -> float | None:
        """When the next held removal goes through."""
        return min(self._held.values(), default=None)

    def admit(self, changes: Iterable[Change], *, now: float, restarting: bool = False) -> list[Change]:
        """What of one step may happen now. restarting: the step is the difference between what was known
        before a restart and what the registry has now."""
        passed: list[Change] = []
        gone: list[str] = []
        for change in changes:
            if not change.key.startswith(PREFIX):
                passed.append(change)
            elif not isinstance(change, Delete):
                self._seen(change)
                passed.append(change)
            elif self._present.get(change.key, True):
                self._present.pop(change.key, None)
                self._held.pop(change.key, None)
                passed.append(change)
            else:
                gone.append(change.key)
        return passed + self._judge(gone, now=now, restarting=restarting)

    def release(self, *, now: float | None = None) -> list[Change]:
        """The held removals that are due; all of them without `now`: an operator says that they are gone."""
        keys = [key for key, until in self._held.items() if now is None or until <= now]
        for key in keys:
            del self._held[key]
            self._present.pop(key, None)
        return [Delete(key) for key in keys]

    def _seen(self, change: Change) -> None:
        draining = (
            isinstance(change, Upsert)
            and isinstance(change.object, Workload)
            and change.object.health is Health.DRAINING
        )
        self._present[change.key] = draining
        self._held.pop(change.key, None)
        self._vanished.pop(change.key, None)

    def _judge(self, gone: list[str], *, now: float, restarting: bool) -> list[Change]:
        rules = self._rules
        recent = {key: at for key, at in self._vanished.items() if at > now - rules.window}
        self._vanished = {**recent, **dict.fromkeys(gone, now)}
        passed: list[Change] = []
        many = self._many()
        for key in gone:
            if restarting or many or self._share(_service(key)) > rules.service:
                self._held.setdefault(key, now + (rules.restart if restarting else rules.hold))
            else:
                del self._present[key]
                passed.append(Delete(key))
        return passed

    def _many(self) -> bool:
        known = self._present.keys() | self._vanished.keys()
        return len(self._vanished) >= self._rules.few and len(self._vanished) > self._rules.mesh * len(known)

    def _share(self, service: str) -> float:
        vanished = [key for key in self._vanished if _service(key) == service]
        known = [key for key in self._present.keys() | self._vanished.keys() if _service(key) == service]
        return len(vanished) / max(1, len(known))


def _service(key: str) -> str:
    return key.rpartition("/")[0]
