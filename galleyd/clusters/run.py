"""Clusters beside the server: each read by one galleyd at a time, tried again after every failure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from artemon.backoff import Backoff
from artemon.daemon.identity import IdentityKeeper
from artemon.errors import ArtemonError
from artemon.kube.bundle import BundleKeeper
from artemon.kube.client import Client
from artemon.kube.failures import Rejected, missing_rule
from artemon.kube.kinds import VALIDATING_WEBHOOKS
from artemon.log import Log
from artemon.store.api import Election, Store
from galleyd.clusters.mirror import Mesh, Mirror, home_of_cluster
from galleyd.clusters.settings import Cluster

ROLE_TTL = 10.0
STEADY = 60.0
"""Seconds after which a run counts as good, and the next failure as the first."""
Work = Callable[[], Awaitable[None]]
_RULE = '{apiGroups: [""], resources: ["namespaces"], verbs: [get]}'


@dataclass(frozen=True, slots=True)
class Clusters:
    """clusters: in order of precedence. node: of this galleyd. keeper: of its identity, whose roots webhooks
    shall trust; None: webhooks are not kept right."""

    clusters: tuple[Cluster, ...]
    store: Store
    node: str
    keeper: IdentityKeeper | None
    log: Log

    async def run(self, mesh: Mesh) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for one in self.clusters:
                tasks.create_task(self._campaign(one, mesh), name=f"cluster-{one.name}")
                if self.keeper and one.settings.webhook:
                    tasks.create_task(
                        self._again(one, self._webhook(one, self.keeper)), name=f"webhook-{one.name}"
                    )

    async def _campaign(self, cluster: Cluster, mesh: Mesh) -> None:
        role = mesh.keys.layout.election(f"cluster-{cluster.name}")
        election = await self.store.elect(role, self.node, ttl=ROLE_TTL)
        try:
            while True:
                await election.leading.wait()
                await self._lead(cluster, mesh, election)
        finally:
            await election.resign()

    async def _lead(self, cluster: Cluster, mesh: Mesh, election: Election) -> None:
        async def copy() -> None:
            async with Client.open(await asyncio.to_thread(cluster.access)) as client:
                home = await home_of_cluster(client, cluster.name)
                self.log.info("reading_cluster", cluster=home)
                await Mirror(cluster, home, client, mesh, self.log).run()

        job = asyncio.ensure_future(self._again(cluster, copy))
        lost = asyncio.ensure_future(election.lost.wait())
        try:
            await asyncio.wait([job, lost], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (job, lost):
                task.cancel()
            await asyncio.wait([job, lost])
        if not job.cancelled() and (error := job.exception()) is not None:
            raise error

    async def _again(self, cluster: Cluster, work: Work) -> None:
        """Do it again whenever it failed, until cancelled."""
        backoff, loop = Backoff(first=0.5, most=30), asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await work()
            except ArtemonError as error:
                self._tell(cluster, [error])
            except BaseExceptionGroup as group:
                expected, others = group.split(ArtemonError)
                if others is not None or expected is None:
                    raise
                self._tell(cluster, expected.exceptions)
            if loop.time() - began > STEADY:
                backoff.reset()
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    def _tell(self, cluster: Cluster, errors: Iterable[BaseException]) -> None:
        for error in errors:
            reason = missing_rule(error, _RULE) if isinstance(error, Rejected) else str(error)
            self.log.warning("cluster_not_read", cluster=cluster.name, reason=reason)

    def _webhook(self, cluster: Cluster, keeper: IdentityKeeper) -> Work:
        def roots() -> bytes:
            return keeper.current().roots_pem

        async def keep() -> None:
            async with Client.open(await asyncio.to_thread(cluster.access)) as client:
                name = cluster.settings.webhook
                bundle = BundleKeeper(client, VALIDATING_WEBHOOKS, name, roots=roots, log=self.log)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(bundle.run(), name="webhook-configuration")
                    while True:
                        await keeper.changed(keeper.current())
                        await bundle.correct()

        return keep
