"""Work of a daemon in a cluster: done by one replica at a time, and again after every failure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable

from artemon.backoff import Backoff
from artemon.errors import ArtemonError
from artemon.kube.client import Client
from artemon.kube.cluster import Cluster, ClusterOptions
from artemon.kube.failures import Rejected, missing_rule
from artemon.log import Log
from artemon.store.api import Store

ROLE_TTL = 10.0
STEADY = 60.0
"""Seconds after which a run counts as good, and the next failure as the first."""
Work = Callable[[Client], Awaitable[None]]


async def alone(store: Store, role: str, node: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` whenever this replica holds `role` (a key), until cancelled. Raises what it raises."""
    election = await store.elect(role, node, ttl=ROLE_TTL)
    try:
        while True:
            await election.leading.wait()
            job, lost = asyncio.ensure_future(work()), asyncio.ensure_future(election.lost.wait())
            try:
                await asyncio.wait([job, lost], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (job, lost):
                    task.cancel()
                await asyncio.wait([job, lost])
            if not job.cancelled() and (error := job.exception()) is not None:
                raise error
    finally:
        await election.resign()


async def again(cluster: Cluster[ClusterOptions], work: Work, log: Log, *, rule: str) -> None:
    """Do `work` with a client of the cluster, again whenever it failed, until cancelled. rule: that grants
    what it needs first."""
    backoff, loop = Backoff(first=0.5, most=30), asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            async with Client.open(await asyncio.to_thread(cluster.access)) as client:
                await work(client)
        except ArtemonError as error:
            _tell(cluster.name, [error], log, rule)
        except BaseExceptionGroup as group:
            expected, others = group.split(ArtemonError)
            if others is not None or expected is None:
                raise
            _tell(cluster.name, expected.exceptions, log, rule)
        if loop.time() - began > STEADY:
            backoff.reset()
        await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter


def _tell(name: str, errors: Iterable[BaseException], log: Log, rule: str) -> None:
    for error in errors:
        reason = missing_rule(error, rule) if isinstance(error, Rejected) else str(error)
        log.warning("cluster_not_used", cluster=name, reason=reason)
