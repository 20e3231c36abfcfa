"""The records of connected proxies: their workloads, which make endpoints, and their status."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from artemon.log import Log
from artemon.model.service import Health
from artemon.model.workload import Workload, encode_workload
from artemon.snapshot.holds import Holds
from artemon.store.api import MAX_VALUE
from artemon.store.layout import Layout
from pilotd.fleet import Client
from pilotd.leased import LeasedRecords
from pilotd.node import workload_of
from pilotd.registration import connected
from pilotd.report import Report

GRACE_SECONDS = 5.0
"""How long a workload whose stream ended may take to come back, here or at another replica. With what it
takes to find out that a machine is silent (pilotd.server), a dead one is gone in less than 12 s."""
DRAIN_SECONDS = 1.0
"""How long a record that is about to go says so: others know then that its workload said goodbye."""

TOGETHER_SECONDS = 1.0
"""Workloads lost within this time are lost at once."""


@dataclass(slots=True)
class _Leaving:
    """A workload whose stream ended. until: when the next step is due. lost: it said nothing."""

    workload: Workload
    until: float
    lost: bool = False
    draining: bool = False


class Records:
    """Writes the records of connected proxies, and takes them back when they are gone for good.

    now: a clock that does not jump, seconds; wall: the time of day for people.
    """

    def __init__(
        self,
        layout: Layout,
        workloads: LeasedRecords,
        statuses: LeasedRecords,
        log: Log,
        *,
        pilot: str,
        now: Callable[[], float],
        wall: Callable[[], str],
    ) -> None:
        self._layout = layout
        self._workloads = workloads
        self._statuses = statuses
        self._log = log
        self._pilot = pilot
        self._now = now
        self._wall = wall
        self._streams: Counter[str] = Counter()
        self._leaving: dict[str, _Leaving] = {}
        self._holds = Holds()
        self._departed: set[str] = set()
        """Keys of workloads that said themselves that they go."""
        self._attended: dict[int, tuple[str, Workload]] = {}
        self._news = asyncio.Event()
        self._closing = False

    @contextmanager
    def attend(self, client: Client) -> Iterator[Report]:
        """The proxy's records stand while the block runs; its workload's for a while longer. Of a client
        without an identity there are none: nothing that it says of itself is proven."""
        proxy = client.proxy
        if client.identity is None:
            client.report = Report(proxy.id, self._pilot, _forget, wall=self._wall)
            yield client.report
            return
        workload = workload_of(proxy)
        status = self._layout.status(proxy.name, proxy.namespace)
        report = Report(
            proxy.id, self._pilot, lambda value: self._statuses.put_newest(status, value), wall=self._wall
        )
        client.report, key = report, ""
        if workload is not None:
            workload = connected(workload, pilot=self._pilot, at=self._wall())
            name = workload.entry or proxy.name
            key = self._layout.workload(workload.namespace, workload.service, name)
            self._arrive(key, workload)
            self._attended[id(client)] = key, workload
        self._streams[status] += 1
        report.publish()
        try:
            yield report
        finally:
            if self._left(status) and not self._closing:
                self._statuses.leave(status, None)
            key, workload = self._attended.pop(id(client), ("", None))
            if workload is not None and self._left(key) and not self._closing and key not in self._departed:
                gone = client.revoked.is_set()  # at once, and whether or not it wants to come back
                grace = 0.0 if gone else GRACE_SECONDS
                self._leaving[key] = _Leaving(workload, self._now() + grace, lost=not gone)
                self._news.set()

    def depart(self, client: Client) -> None:
        """The client's workload is about to go: it gets no more requests, and its record goes soon."""
        key, workload = self._attended.get(id(client), ("", None))
        if workload is not None and self._streams[key] == 1 and key not in self._departed:
            self._departed.add(key)
            self._leaving[key] = _Leaving(workload, self._now())
            self._news.set()

    def feels(self, client: Client, health: Health) -> None:
        """How the client's workload does now; nothing changes for one that said goodbye."""
        key, workload = self._attended.get(id(client), ("", None))
        if workload is None or key in self._departed or workload.health is health:
            return
        workload = replace(workload, health=health)
        self._attended[id(client)] = key, workload
        self._workloads.put(key, encode_workload(workload))
        self._log.info("workload_feels", key=key, health=health.value)

    def close(self) -> None:
        """From now on records stay when streams end: this process stops, its proxies go on elsewhere."""
        self._closing = True

    def _arrive(self, key: str, workload: Workload) -> None:
        value = encode_workload(workload)
        self._streams[key] += 1
        if len(value) > MAX_VALUE:
            self._log.error("workload_too_large", key=key, bytes=len(value))
            return
        self._leaving.pop(key, None)
        self._departed.discard(key)
        self._holds.seen(key)
        self._workloads.put(key, value)
        self._log.info("workload_joined", key=key, address=workload.address)

    def _left(self, key: str) -> bool:
        """One stream fewer for a key; whether it was the last."""
        self._streams[key] -= 1
        if self._streams[key] > 0:
            return False
        del self._streams[key]
        return True

    async def run(self) -> None:
        """Take back what is gone for good, until cancelled."""
        while True:
            due = min((leaving.until for leaving in self._leaving.values()), default=None)
            self._news.clear()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - self._now())):
                    await self._news.wait()
            except TimeoutError:
                self._step()

    def _step(self) -> None:
        """Do what is due. Those lost within a second are judged together."""
        now = self._now()
        due = {
            key: leaving
            for key, leaving in self._leaving.items()
            if leaving.until <= now + (TOGETHER_SECONDS if leaving.lost and not leaving.draining else 0.0)
        }
        silent = self._too_many([key for key, one in due.items() if one.lost and not one.draining], now)
        for key, leaving in due.items():
            if leaving.draining or key in silent:
                del self._leaving[key]
                self._workloads.leave(key, None)
                self._holds.forget(key)
                self._log.info("workload_left", key=key)
            else:
                leaving.draining = True
                leaving.until = now + DRAIN_SECONDS
                self._workloads.leave(key, encode_workload(replace(leaving.workload, health=Health.DRAINING)))

    def _too_many(self, lost: list[str], now: float) -> set[str]:
        """Those whose silence may not be told as a goodbye, because many fell silent at once, as when the
        network between them and this process breaks: their records go, and readers hold them."""
        return set(lost) - set(self._holds.vanish(lost, now=now))


def _forget(_: Callable[[], bytes]) -> None:
    """Nowhere to write to."""
