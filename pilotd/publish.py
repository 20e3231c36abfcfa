"""From changes to what proxies should have: debounce, snapshot, fleet."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from artemon.log import Log
from artemon.model.gateway import Gateway
from artemon.model.request_authentication import RequestAuthentication
from artemon.model.resource import Resource
from artemon.snapshot.build import build
from artemon.snapshot.gateway_conflicts import Conflict, conflicts, told
from artemon.snapshot.snapshot import Snapshot
from artemon.snapshot.world import World
from pilotd.debounce import Debounce
from pilotd.fleet import Fleet
from pilotd.ingest import Ingest
from pilotd.metrics import Metrics


class Publisher:
    """Makes a snapshot whenever the world has changed and publishes it. `now`: as in Debounce.
    want_keys: is told which tokens are to be verified; published: is given every snapshot."""

    def __init__(
        self,
        ingest: Ingest,
        world: World,
        fleet: Fleet,
        *,
        log: Log,
        metrics: Metrics,
        now: Callable[[], float],
        want_keys: Callable[[Iterable[Resource[RequestAuthentication]]], None] = lambda _: None,
        published: Callable[[Snapshot], None] = lambda _: None,
    ) -> None:
        self._ingest = ingest
        self._world = world
        self._fleet = fleet
        self._log = log
        self._metrics = metrics
        self._now = now
        self._want_keys = want_keys
        self._published = published
        self._worked_at = now()
        self.snapshot: Snapshot | None = None
        self.conflicts: Mapping[Conflict, int] = {}
        """Servers of Gateways that lose something to an older Gateway, with the port."""

    def quiet(self) -> float:
        """Seconds since anything was published."""
        return self._now() - self._worked_at

    async def run(self) -> None:
        """Publish until cancelled."""
        debounce = Debounce()
        while True:
            await self._ingest.news()
            await asyncio.sleep(debounce.wait(self._now()))
            started = self._now()
            await self._publish()
            self._worked_at = self._now()
            debounce.worked(started, self._worked_at)

    async def _publish(self) -> None:
        changes, since = self._ingest.take()
        started = self._now()
        first = self.snapshot is None
        snapshot = self.snapshot = build(self._world, self.snapshot, None if first else changes)
        built = self._now()
        self._metrics.snapshot_time.observe(built - started)
        self._metrics.services.set(len(snapshot.config.owners.services))
        self._metrics.virtual_services.set(len(snapshot.config.virtual_services))
        self._metrics.endpoints.set(sum(map(len, snapshot.instances.values())))
        if first or changes.kinds & {"Gateway", "Ingress", "KubernetesGateway"}:
            self._contention(snapshot)
        if first or "RequestAuthentication" in changes.kinds:
            self._want_keys(self._world.resources("RequestAuthentication").values())
        self._published(snapshot)
        touched = await self._fleet.publish(snapshot, changes, since=since)
        if first or changes:
            self._log.info(
                "published",
                revision=snapshot.position[1],
                kinds=",".join(sorted(changes.kinds)),
                proxies=touched,
                build_ms=round((built - started) * 1e3, 1),
                all_ms=round((self._now() - started) * 1e3, 1),
            )

    def _contention(self, snapshot: Snapshot) -> None:
        """Among Gateways with the same selector, who loses what. New losses are told once."""
        groups: defaultdict[frozenset[tuple[str, str]], list[Resource[Gateway]]] = defaultdict(list)
        for gateway in snapshot.config.gateways:
            groups[frozenset(gateway.spec.selector.items())].append(gateway)
        before, self.conflicts = self.conflicts, {}
        for group in groups.values():
            self.conflicts = {**self.conflicts, **conflicts(group)}
        self._metrics.gateway_conflicts.set(len({(one.gateway, one.index) for one in self.conflicts}))
        for one, port in self.conflicts.items():
            if one not in before:
                self._log.warning(
                    "gateway_conflict", gateway=one.gateway, server=one.index, told=told(one, port)
                )
