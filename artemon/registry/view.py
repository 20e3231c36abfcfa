"""What one registry has told, as the world may have it: removals that look like a loss are held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from artemon.model.service import Endpoint, Health
from artemon.snapshot.changes import Change, Delete, Upsert
from artemon.snapshot.holds import Holds, Rules
from artemon.snapshot.services import Source


class View:
    """The services of one registry. No I/O; time: seconds of a clock that does not jump.

    told: what the registry says; shown: with the instances that are held.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self._holds = Holds(rules)
        self._kept: dict[str, tuple[Source, Endpoint]] = {}
        """Instances whose removal is held, with the source that they were in."""
        self.told: dict[str, Source] = {}
        self.shown: dict[str, Source] = {}
        self.services = self.instances = 0
        """How many `shown` has."""

    @property
    def held(self) -> tuple[str, ...]:
        """Instances whose removal is held, as `<id of the source>/<address>:<port>`."""
        return tuple(sorted(self._kept))

    @property
    def due(self) -> float | None:
        """When the next held instance goes."""
        return self._holds.due

    def replace(
        self,
        sources: Iterable[Source],
        *,
        proven: bool,
        now: float,
        restarting: bool = False,
        doubted: bool = False,
    ) -> list[Change]:
        """Take everything that there is."""
        given = {source.id: source for source in sources}
        gone = self.told.keys() - given.keys()
        return self.update(
            given.values(), gone, proven=proven, now=now, restarting=restarting, doubted=doubted
        )

    def update(
        self,
        sources: Iterable[Source],
        gone: Iterable[str],
        *,
        proven: bool,
        now: float,
        restarting: bool = False,
        doubted: bool = False,
    ) -> list[Change]:
        """Take what is new, different or gone, in one step."""
        before: dict[str, tuple[Source, Endpoint]] = {}
        touched: set[str] = set()
        for identity in gone:
            if (old := self.told.pop(identity, None)) is not None:
                before |= _members(old)
                touched.add(identity)
        present: set[str] = set()
        for source in sources:
            if (old := self.told.get(source.id)) is not None:
                before |= _members(old)
            self.told[source.id] = source
            touched.add(source.id)
            present |= self._see(source)
        missing = sorted(before.keys() - present)
        going = set(
            self._holds.vanish(missing, now=now, proven=proven, restarting=restarting, doubted=doubted)
        )
        self._kept |= {key: before[key] for key in missing if key not in going}
        return self._show(touched)

    def release(self, *, now: float | None = None) -> list[Change]:
        """Let the held instances go that are due; all of them without `now`: an operator says so."""
        keys = self._holds.release(now=now)
        return self._show({self._kept.pop(key)[0].id for key in keys if key in self._kept})

    def _see(self, source: Source) -> set[str]:
        members = _members(source)
        for key, (_, endpoint) in members.items():
            self._holds.seen(key, leaving=endpoint.health is not Health.HEALTHY)
            self._kept.pop(key, None)
        return set(members)

    def _show(self, identities: Iterable[str]) -> list[Change]:
        """The changes that bring what is shown up to date, additions first."""
        changes: list[Change] = []
        for identity in sorted(identities):
            source, before = self._with_held(identity), self.shown.get(identity)
            if source == before:
                continue
            for one, step in ((before, -1), (source, 1)):
                if one is not None:
                    self.services += step * len(one.services)
                    self.instances += step * len(one.inline)
            if source is None:
                del self.shown[identity]
                changes.append(Delete(identity))
            else:
                self.shown[identity] = source
                changes.append(Upsert(identity, source))
        return sorted(changes, key=lambda change: isinstance(change, Delete))

    def _with_held(self, identity: str) -> Source | None:
        kept = [pair for key, pair in sorted(self._kept.items()) if pair[0].id == identity]
        told = self.told.get(identity)
        if not kept:
            return told
        source = told or replace(kept[0][0], inline=())
        return replace(source, inline=(*source.inline, *(endpoint for _, endpoint in kept)))


def _members(source: Source) -> dict[str, tuple[Source, Endpoint]]:
    return {key: (source, endpoint) for key, endpoint in _keyed(source)}


def _keyed(source: Source) -> Iterator[tuple[str, Endpoint]]:
    for endpoint in source.inline:
        ports = ",".join(str(number) for number in sorted({*endpoint.ports.values()} - {0}))
        yield f"{source.id}/{endpoint.address}:{ports}", endpoint
