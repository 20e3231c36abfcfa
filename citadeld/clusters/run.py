"""Clusters beside the doors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from artemon.daemon.cluster_work import again, alone
from artemon.kube.client import Client
from artemon.kube.cluster import read_clusters
from artemon.log import Log
from artemon.pki.bundle import Bundle
from artemon.store.api import Store
from citadeld.clusters.certify import Certifier
from citadeld.clusters.keeper import Keeper, Sources
from citadeld.clusters.settings import Cluster, WriteOptions
from citadeld.issuer import Issuer
from citadeld.revoker import Known
from citadeld.settings import CitadelSettings

_RULE = '{apiGroups: [""], resources: ["namespaces", "configmaps"], verbs: [get, list, watch]}'


@dataclass(frozen=True, slots=True)
class Clusters:
    """node: of this citadeld. known: what is revoked."""

    clusters: tuple[Cluster, ...]
    settings: CitadelSettings
    store: Store
    node: str
    known: Known
    log: Log

    async def run(self, issuer: Issuer, bundle: Callable[[], Bundle]) -> None:
        """Until cancelled; each cluster by one citadeld at a time. bundle: of the moment."""
        lifetime = timedelta(seconds=self.settings.leaf_seconds)
        certifier = Certifier(
            issuer, self.settings.trust_domain, lifetime, self.known, lambda: bundle().roots_pem
        )
        sources = Sources(bundle, certifier, issuer.now, self.log)
        async with asyncio.TaskGroup() as tasks:
            for one in self.clusters:
                work = partial(again, one, partial(_keep, one, sources), self.log, rule=_RULE)
                role = f"{self.settings.prefix}election/trust-in-{one.name}"
                tasks.create_task(alone(self.store, role, self.node, work), name=f"cluster-{one.name}")


def clusters_of(settings: CitadelSettings, store: Store, node: str, known: Known, log: Log) -> Clusters:
    """Those of the settings. Raises Refused, ArtemonError."""
    return Clusters(read_clusters(settings.clusters, WriteOptions), settings, store, node, known, log)


async def _keep(cluster: Cluster, sources: Sources, client: Client) -> None:
    await Keeper(cluster, client, sources).run()
