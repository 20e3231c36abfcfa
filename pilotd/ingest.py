"""From the registry to the world: what changed, and whether everything has been read once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

from artemon.daemon.health import Health
from artemon.daemon.signers import Signers
from artemon.log import Log
from artemon.model.secret import Unseal
from artemon.model.trust import BUNDLE, REVOKED
from artemon.snapshot import records
from artemon.snapshot.changes import NOWHERE, Change, ChangeSet, Position
from artemon.snapshot.world import World
from artemon.store.api import Store
from artemon.store.follow import Follow, FollowMetrics
from artemon.store.layout import Layout
from artemon.store.mirror import Changes
from pilotd.guard import Guard
from pilotd.metrics import Metrics
from pilotd.reading import Reader
from pilotd.returning import Returning

VIEWS = {
    "config": "config/",
    "mesh": "mesh",
    "workloads": "workloads/",
    "secrets": "secrets/",
    "bundle": BUNDLE,
    "revoked": REVOKED,
}
"""Name of each view of the registry -> what it follows."""
SIGNERS, WRITERS = "trust/signers/", "trust/writers/"
"""The papers of galleyd's and of citadeld's signing keys."""
NOT_READ = "the registry of the mesh cannot be read"
STALE_AFTER = 60.0
"""Seconds without proof of life until the registry counts as stale."""
COLD_SECONDS = 10.0
"""How long the registry may take to be read until proxies are served from what was saved."""


class Ingest:
    """Keeps `world` true. now: a clock that does not jump, seconds. data_dir: where views are saved.
    unseal: opens Secrets. signers: whose configuration is taken, trust: whose roots and revocations; None:
    everybody's. returning: who may be on the way back after our start."""

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
        signers: Signers | None = None,
        trust: Signers | None = None,
    ) -> None:
        self._world = world
        self._layout = layout
        self._guard = guard
        self._log = log
        self._metrics = metrics
        self._now = now
        self._reader = Reader(layout, log=log, metrics=metrics, unseal=unseal, signers=signers, trust=trust)
        self._held: set[str] = set()
        self._cold = False
        """Whether what was saved is good enough: the registry cannot be read."""
        self._others: Callable[[], Sequence[str]] = tuple
        self._lost: Callable[[Set[str], str], None] = lambda keys, reason: None
        self._pending = ChangeSet()
        self._since: float | None = None
        self.returning, self.settled = Returning(now=now), False
        self._news = asyncio.Event()
        self._rearmed = asyncio.Event()
        self._other_news = asyncio.Event()

        def follow(name: str, prefix: str, handle: Callable[[Changes], None]) -> Follow:
            file = data_dir / f"{name}.snapshot" if data_dir else None
            return Follow(store, layout.root + prefix, handle, name=name, file=file, metrics=views)

        self._follows = {name: follow(name, prefix, self._handler(name)) for name, prefix in VIEWS.items()}
        papers = (("signers", SIGNERS, signers), ("writers", WRITERS, trust))
        self._papers = [
            follow(name, prefix, self._paper_handler(prefix, whose))
            for name, prefix, whose in papers
            if whose is not None
        ]
        self._trust = trust
        metrics.age.set_function(lambda: self.age)

    @property
    def age(self) -> float:
        """Seconds since the oldest of the views was surely current."""
        return max(follow.age for follow in self._follows.values())

    @property
    def _needed(self) -> list[Follow]:
        return [*self._follows.values(), *self._papers]

    async def run(self, health: Health) -> None:
        """Follow the registry until cancelled."""
        health.expect("registry", "the registry has not been read completely yet")
        async with asyncio.TaskGroup() as tasks:
            for papers in self._papers:  # first, or nothing that was saved would be taken
                tasks.create_task(papers.run())
                await papers.warm.wait()
            for follow in self._follows.values():
                tasks.create_task(follow.run())
            tasks.create_task(self._release())
            tasks.create_task(self._start_cold(health))
            tasks.create_task(self._tell_others(health))
            for follow in self._needed:
                await follow.synced.wait()
            health.meet("registry")
            health.degrade("registry", "")
            self._cold = False
            self._metrics.saved.set(0)
            self.returning.open()
            self._log.info("registry_read", revision=self._world.position[1])
            self._touch(ChangeSet(position=self._world.position))

    @property
    def complete(self) -> bool:
        """Whether there is all that may be served: read from the registry itself since the start, or, when
        that cannot be had, from what was saved; and something of every other registry."""
        follows = self._needed
        return not self._others() and all(
            one.synced.is_set() or (self._cold and one.saved) for one in follows
        )

    def also(self, waiting: Callable[[], Sequence[str]]) -> None:
        """There are other registries; `waiting` says of which nothing is known yet."""
        self._others = waiting

    def on_lost(self, lost: Callable[[Set[str], str], None]) -> None:
        """`lost` is told which keys of workloads the registry has no more, held ones too, and why it
        was read anew ("" when it was not)."""
        self._lost = lost

    def take_in(self, changes: list[Change]) -> None:
        """Changes that come from another registry; also none, when there is something of it now."""
        self._metrics.changes.labels("registries").inc(len(changes))
        self._apply(changes, self._world.position)
        self._other_news.set()

    async def news(self) -> None:
        """Return when there is something to take, and everything has been read once."""
        while self._since is None or not self.complete:
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
        read = [self._reader.read(entry, entry.value) for entry in changes.upserts]
        read += [self._reader.read(entry, None) for entry in changes.deletes]
        self._metrics.changes.labels(name).inc(len(read))
        known = [change for change in read if change is not None]
        admitted = self._guard.admit(known, now=self._now(), restarting=not self.settled)
        if name == "workloads":
            self.returning.take(changes.upserts)
            self._lost({one.key for one in changes.deletes} | self._follows[name].held, changes.reason)
        if name in ("bundle", "revoked"):
            self._world.trust_read[name] = changes.position.revision
        self._apply(admitted, self._position(changes))

    def _paper_handler(self, prefix: str, signers: Signers) -> Callable[[Changes], None]:
        """Other keys count: what could not be taken before is judged again."""
        start = self._layout.root + prefix

        def handle(changes: Changes) -> None:
            moved = [signers.take(one.key.removeprefix(start), one.value) for one in changes.upserts]
            moved += [signers.take(one.key.removeprefix(start), None) for one in changes.deletes]
            if any(moved):
                self._judge_again()

        return handle

    def roots_changed(self) -> None:
        """Other roots are trusted: citadeld's signing keys may lead to them."""
        if self._trust is not None and self._trust.again():
            self._judge_again()

    def _judge_again(self) -> None:
        bad = {self._layout.root + key for key in self._world.problems}
        entries = [one for follow in self._follows.values() for one in follow.entries.values()]
        again = [self._reader.read(one, one.value) for one in entries if one.key in bad]
        self._apply([change for change in again if change is not None], self._world.position)

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

    def release(self) -> int:
        """Let held removals go: an operator says that they are gone. Returns how many."""
        released = self._guard.release()
        for follow in self._follows.values():
            follow.release()
        self._log.warning("held_removals_released", workloads=len(released), by="operator")
        self._apply(released, self._world.position)
        return len(released)

    def settle(self, witnesses: int) -> None:
        """Those who live are back after our start, `witnesses` here: what vanishes now is judged at once."""
        self.settled = True
        gone = self._guard.settle(now=self._now(), witnesses=witnesses)
        self._log.info("proxies_came_back", others=len(gone))
        self._apply(gone, self._world.position)

    def status(self) -> dict[str, Any]:
        """What operators see of the registry itself."""
        synced, age = all(one.synced.is_set() for one in self._follows.values()), self.age
        known = synced or all(one.saved for one in self._follows.values())
        trouble = next((one.trouble for one in self._needed if one.trouble), "")
        fresh = synced and not trouble and age < STALE_AFTER
        state = "ok" if fresh else "stale" if known else "unread"
        held = {*self._guard.held, *(key for one in self._follows.values() for key in one.held)}
        return {
            "name": "mesh",
            "state": state,
            "reason": "" if fresh else ": ".join(filter(None, (NOT_READ, trouble))),
            "ageSeconds": round(age, 1) if known else None,
            "revision": self._world.position[1],
            "held": sorted(held),
        }

    async def _start_cold(self, health: Health) -> None:
        """When the registry is not read in time, go on with what was saved, and say so."""
        try:
            async with asyncio.timeout(COLD_SECONDS):
                for follow in self._follows.values():
                    await follow.synced.wait()
        except TimeoutError:
            if not all(one.synced.is_set() or one.saved for one in self._follows.values()):
                self._log.error("registry_not_read", reason="nothing was saved either: nobody is served")
                return
            self._cold = True
            self._metrics.saved.set(1)
            self._log.error("serving_what_was_saved", age=round(self.age), revision=self._world.position[1])
            health.degrade("registry", "it cannot be read; proxies get what was saved when it last could")
            health.meet("registry")
            self._touch(ChangeSet(position=self._world.position))

    async def _tell_others(self, health: Health) -> None:
        """Not ready until there is something of every registry."""
        if self._others():
            health.expect("registries", f"not read yet: {', '.join(self._others())}")
        while self._others():
            self._other_news.clear()
            await self._other_news.wait()
        health.meet("registries")

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
