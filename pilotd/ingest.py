"""From the registry to the world: what changed, and whether everything has been read once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from artemon import validate
from artemon.daemon.health import Health
from artemon.log import Log
from artemon.model.secret import Unseal
from artemon.snapshot import records
from artemon.snapshot.changes import NOWHERE, Bad, Change, ChangeSet, Position
from artemon.snapshot.world import World
from artemon.store.api import Entry, Store
from artemon.store.follow import Follow, FollowMetrics
from artemon.store.layout import Layout
from artemon.store.mirror import Changes
from pilotd.guard import Guard
from pilotd.metrics import Metrics

VIEWS = {"config": "config/", "mesh": "mesh", "workloads": "workloads/", "secrets": "secrets/"}
"""Name of each view of the registry -> what it follows."""
SETTLE_SECONDS = 30.0


class Ingest:
    """Keeps `world` true. now: a clock that does not jump, seconds. data_dir: where views are saved.
    unseal: opens Secrets."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        world: World,
        *,
        guard: Guard,
        log: Log,
        metrics: Metrics,
        views: FollowMetrics,
        now: Callable[[], float],
        data_dir: Path | None,
        unseal: Unseal = records.no_key,
    ) -> None:
        self._world = world
        self._layout = layout
        self._guard = guard
        self._log = log
        self._metrics = metrics
        self._now = now
        self._unseal = unseal
        self._held: set[str] = set()
        self._pending = ChangeSet()
        self._since: float | None = None
        self._settled_at = float("inf")
        """Until then proxies may still be on their way back after a restart of ours."""
        self._news = asyncio.Event()
        self._rearmed = asyncio.Event()
        self._follows = {
            name: Follow(
                store,
                layout.root + prefix,
                self._handler(name),
                name=name,
                file=data_dir / f"{name}.snapshot" if data_dir else None,
                metrics=views,
            )
            for name, prefix in VIEWS.items()
        }
        metrics.age.set_function(lambda: self.age)

    @property
    def age(self) -> float:
        """Seconds since the oldest of the views was surely current."""
        return max(follow.age for follow in self._follows.values())

    async def run(self, health: Health) -> None:
        """Follow the registry until cancelled."""
        health.expect("registry", "the registry has not been read completely yet")
        async with asyncio.TaskGroup() as tasks:
            for follow in self._follows.values():
                tasks.create_task(follow.run())
            tasks.create_task(self._release())
            for follow in self._follows.values():
                await follow.synced.wait()
            health.meet("registry")
            self._settled_at = self._now() + SETTLE_SECONDS
            self._log.info("registry_read", revision=self._world.position[1])
            self._touch(ChangeSet(position=self._world.position))

    @property
    def synced(self) -> bool:
        """Whether everything has been read from the registry itself since the start."""
        return all(follow.synced.is_set() for follow in self._follows.values())

    async def news(self) -> None:
        """Return when there is something to take, and everything has been read once."""
        while self._since is None or not self.synced:
            self._news.clear()
            await self._news.wait()

    def take(self) -> tuple[ChangeSet, float]:
        """What happened since the last call, and when the oldest of it was read."""
        changes, since = self._pending, self._since
        self._pending, self._since = ChangeSet(), None
        return changes, self._now() if since is None else since

    def _handler(self, name: str) -> Callable[[Changes], None]:
        def handle(changes: Changes) -> None:
            self._handle(name, changes)

        return handle

    def _handle(self, name: str, changes: Changes) -> None:
        read = [self._read(entry, entry.value) for entry in changes.upserts]
        read += [self._read(entry, None) for entry in changes.deletes]
        self._metrics.changes.labels(name).inc(len(read))
        now = self._now()
        admitted = self._guard.admit(
            [change for change in read if change is not None], now=now, restarting=now < self._settled_at
        )
        self._apply(admitted, self._position(changes))

    def _read(self, entry: Entry, value: bytes | None) -> Change | None:
        change = records.read(
            self._layout.relative(entry.key),
            value,
            check=validate.problems,
            check_mesh=validate.mesh_problems,
            unseal=self._unseal,
        )
        if isinstance(change, Bad):
            problems = "; ".join(str(problem) for problem in change.problems[:3])
            self._log.error(
                "registry_value_unusable", key=entry.key, reason=problems, kept="the last good one"
            )
        return change

    def _position(self, changes: Changes) -> Position:
        """Views move on by themselves: of one history the furthest counts."""
        position = (changes.position.epoch, changes.position.revision)
        known = self._world.position
        return max(position, known) if known != NOWHERE and known[0] == position[0] else position

    def _apply(self, changes: list[Change], position: Position) -> None:
        touched = self._world.apply(changes, position)
        held = set(self._guard.held)
        self._metrics.corrupt.set(len(self._world.problems))
        self._metrics.held.set(len(held))
        if held - self._held:
            self._log.warning("removals_held", workloads=len(held), new=len(held - self._held))
            self._rearmed.set()
        self._held = held
        self._touch(touched)

    def _touch(self, touched: ChangeSet) -> None:
        self._pending = self._pending | touched
        self._since = self._now() if self._since is None else self._since
        self._news.set()

    async def _release(self) -> None:
        """Let held removals go when their time is over."""
        while True:
            due = self._guard.due
            self._rearmed.clear()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - self._now())):
                    await self._rearmed.wait()
            except TimeoutError:
                released = self._guard.release(now=self._now())
                self._log.warning("held_removals_released", workloads=len(released))
                self._apply(released, self._world.position)
