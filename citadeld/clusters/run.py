"""Clusters beside the doors."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from artemon.daemon.cluster_work import again, alone
from artemon.kube.client import Client
from artemon.store.api import Store
from citadeld.clusters.keeper import Keeper, Sources
from citadeld.clusters.settings import Cluster

_RULE = '{apiGroups: [""], resources: ["namespaces", "configmaps"], verbs: [get, list, watch]}'


@dataclass(frozen=True, slots=True)
class Clusters:
    """prefix: of the mesh's keys. node: of this citadeld."""

    clusters: tuple[Cluster, ...]
    store: Store
    prefix: str
    node: str

    async def run(self, sources: Sources) -> None:
        """Until cancelled; each cluster by one citadeld at a time."""
        async with asyncio.TaskGroup() as tasks:
            for one in self.clusters:
                work = partial(again, one, partial(_keep, one, sources), sources.log, rule=_RULE)
                role = f"{self.prefix}election/trust-in-{one.name}"
                tasks.create_task(alone(self.store, role, self.node, work), name=f"cluster-{one.name}")


async def _keep(cluster: Cluster, sources: Sources, client: Client) -> None:
    await Keeper(cluster, client, sources).run()
