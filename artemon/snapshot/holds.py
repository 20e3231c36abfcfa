"""Which of the members that vanished may go, and which are held because too many went at once.

Leases run out and registries lose their content: both happen to many at once when control plane or registry
fail, and then the endpoints are still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """hold: seconds that a mass removal is held. restart: seconds that members have to come back after a
    restart, unless it is settled before. window: seconds within which removals count as one. service, mesh:
    the share, above which removals are held; of the mesh only from `few` removals on, of a service only if it
    has as many members: a single machine that dies can take all of a smaller one."""

    hold: float = 300.0
    restart: float = 60.0
    window: float = 30.0
    service: float = 0.5
    mesh: float = 0.3
    few: int = 3


class Holds:
    """Judges removals of members, whose keys are `<group>/<name>`. Time: seconds of a clock that does not
    jump."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._present: dict[str, bool] = {}
        """Key of a member in force -> whether it is leaving."""
        self._until: dict[str, float] = {}
        self._vanished: dict[str, float] = {}
        self._expected: set[str] = set()
        """Held members that vanished over a restart and may be on their way back."""

    @property
    def held(self) -> tuple[str, ...]:
        """Members whose removal is held."""
        return tuple(self._until)

    @property
    def due(self) -> float | None:
        """When the next held removal goes through."""
        return min(self._until.values(), default=None)

    def seen(self, key: str, *, leaving: bool = False) -> None:
        """The member is there. leaving: it says itself that it is about to go."""
        self._present[key] = leaving
        self._until.pop(key, None)
        self._vanished.pop(key, None)
        self._expected.discard(key)

    def vanish(
        self,
        keys: Iterable[str],
        *,
        now: float,
        restarting: bool = False,
        proven: bool = False,
        doubted: bool = False,
    ) -> list[str]:
        """Of members that are not there any more, those that go now; the others are held.

        restarting: the step is the difference between what was known before a restart and what is there now.
        proven: the registry says for sure that they were taken out; then only a step that takes more than the
        share of the mesh is held. doubted: the registry is perhaps not the one that knew them: all are held.
        """
        going: list[str] = []
        gone: list[str] = []
        for key in keys:
            (going if self._present.get(key, True) else gone).append(key)
        self._forgotten(going)
        if proven:
            return going + self._judge_proven(gone, now)
        if doubted:
            self._hold(gone, now + self._rules.hold)
            return going
        passed = self._passing(gone, now)
        if restarting:
            self._hold(gone, now + self._rules.restart)
            self._expected.update(gone)
            return going
        few = set(passed)
        self._hold([key for key in gone if key not in few], now + self._rules.hold)
        return going + self._forgotten(passed)

    def settle(self, *, now: float, witnesses: int = 0) -> list[str]:
        """Whoever was on the way back after a restart has had the time: those that are still missing are
        judged as one step; returns those that go, the others stay held for the rest of their time.

        witnesses: who came back, of all that could. Where more are missing, the way back is in doubt.
        """
        missing = sorted(self._expected)
        self._expected.clear()
        back = len(self._present) - len(self._until)
        if len(missing) > max(back, witnesses):
            return []
        return self._forgotten(self._passing(missing, now))

    def release(self, *, now: float | None = None) -> list[str]:
        """The held members that are due, which go; all of them without `now`: an operator says so."""
        return self._forgotten([key for key, until in self._until.items() if now is None or until <= now])

    def _passing(self, gone: list[str], now: float) -> list[str]:
        """Those of members that vanish now that are few, of all and of their group, with what went lately."""
        rules = self._rules
        recent = {key: at for key, at in self._vanished.items() if at > now - rules.window}
        self._vanished = {**recent, **dict.fromkeys(gone, now)}
        known = self._present.keys() | self._vanished.keys()
        if len(self._vanished) >= rules.few and len(self._vanished) > rules.mesh * len(known):
            return []
        vanished, all_of = Counter(map(_group, self._vanished)), Counter(map(_group, known))

        def most(group: str) -> bool:
            return all_of[group] >= rules.few and vanished[group] > rules.service * all_of[group]

        return [key for key in gone if not most(_group(key))]

    def _forgotten(self, keys: list[str]) -> list[str]:
        for key in keys:
            self.forget(key)
        return keys

    def _judge_proven(self, gone: list[str], now: float) -> list[str]:
        if len(gone) >= self._rules.few and len(gone) > self._rules.mesh * len(self._present):
            self._hold(gone, now + self._rules.hold)
            return []
        return self._forgotten(gone)

    def _hold(self, keys: Iterable[str], until: float) -> None:
        for key in keys:
            self._until.setdefault(key, until)

    def forget(self, key: str) -> None:
        """The member is gone, whatever was held."""
        self._present.pop(key, None)
        self._until.pop(key, None)
        self._expected.discard(key)


def _group(key: str) -> str:
    return key.rpartition("/")[0]
