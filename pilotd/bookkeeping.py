"""All that pilotd writes into the registry, and what is told when it cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from datetime import UTC, datetime
from functools import partial

from artemon.daemon.health import Health
from artemon.log import Log
from artemon.store.api import Store
from artemon.store.layout import Layout
from pilotd.leased import LeasedRecords
from pilotd.metrics import Metrics
from pilotd.records import Records
from pilotd.returning import Returning
from pilotd.vigil import Vigil

STATUS_GATHER = 0.02
"""Seconds to wait for the answers of other proxies before statuses are written."""
STATUS_PAUSE = 0.1
"""Seconds between two writes of statuses, so that a burst of pushes is one write."""
ANOTHER_STATE = frozenset({"reset", "compacted", "diverged"})
"""Reasons of a new snapshot after which the registry may hold what this process never wrote."""


def time_of_day() -> str:
    """RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Bookkeeping:
    """Keeps the records of the proxies that are connected to this process, the pilotd named `pilot`.
    returning, settled: as `Vigil` has them."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        *,
        pilot: str,
        lease_ttl: float,
        returning: Returning,
        settled: Callable[[], None],
        log: Log,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._metrics = metrics
        self._health: Health | None = None
        for what in ("workloads", "statuses"):
            metrics.registry_failures.labels(what)  # there from the start
        self._workloads = LeasedRecords(
            store,
            log.bind(records="workloads"),
            ttl=lease_ttl,
            failed=partial(self._failed, "workloads"),
        )
        self._statuses = LeasedRecords(
            store,
            log.bind(records="statuses"),
            ttl=lease_ttl,
            pause=STATUS_PAUSE,
            gather=STATUS_GATHER,
            failed=partial(self._failed, "statuses"),
        )
        own = layout.workloads
        metrics.workloads.set_function(lambda: sum(key.startswith(own) for key in self._workloads.keys))
        self._vigil = Vigil(
            store,
            layout,
            self._workloads,
            pilot=pilot,
            returning=returning,
            settled=settled,
            log=log,
            now=now,
        )
        self.records = Records(
            layout, self._workloads, self._statuses, log, pilot=pilot, now=now, wall=time_of_day
        )

    def _failed(self, what: str, reason: str) -> None:
        """Records could not be written for `reason`; "": they are."""
        if reason:
            self._metrics.registry_failures.labels(what).inc()
        if self._health is not None:
            self._health.degrade(f"{what} are not written", reason)

    def rewrite(self, lost: Set[str], reason: str) -> None:
        """Records whose proxies are connected here stand, whoever deleted them or put a backup back."""
        self._workloads.lost(lost)
        if reason in ANOTHER_STATE:
            self._workloads.again()
            self._statuses.again()

    def start(self, tasks: asyncio.TaskGroup, health: Health) -> None:
        """Write, in tasks that end with their group."""
        self._health = health
        tasks.create_task(self._workloads.run(), name="workloads")
        tasks.create_task(self._statuses.run(), name="statuses")
        tasks.create_task(self.records.run(), name="departures")
        tasks.create_task(self._vigil.run(), name="vigil")
