"""Clusters beside the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from artemon.daemon.cluster_work import again, alone
from artemon.daemon.identity import IdentityKeeper
from artemon.kube.bundle import BundleKeeper
from artemon.kube.client import Client
from artemon.kube.kinds import VALIDATING_WEBHOOKS
from artemon.log import Log
from artemon.store.api import Store
from galleyd.clusters.mesh import Mesh
from galleyd.clusters.mirror import Mirror, home_of_cluster
from galleyd.clusters.settings import Cluster

_NAMESPACE = '{apiGroups: [""], resources: ["namespaces"], verbs: [get]}'
_WEBHOOK = (
    '{apiGroups: ["admissionregistration.k8s.io"], resources: ["validatingwebhookconfigurations"], '
    "verbs: [get, list, watch, patch]}"
)


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
                copy = partial(again, one, partial(self._copy, one, mesh), self.log, rule=_NAMESPACE)
                role = mesh.keys.layout.election(f"cluster-{one.name}")
                tasks.create_task(alone(self.store, role, self.node, copy), name=f"cluster-{one.name}")
                if self.keeper and one.settings.webhook:
                    keep = partial(self._keep_bundle, one.settings.webhook, self.keeper)
                    tasks.create_task(again(one, keep, self.log, rule=_WEBHOOK), name=f"webhook-{one.name}")

    async def _copy(self, cluster: Cluster, mesh: Mesh, client: Client) -> None:
        home = await home_of_cluster(client, cluster.name)
        self.log.info("reading_cluster", cluster=home)
        await Mirror(cluster, home, client, mesh, self.log).run()

    async def _keep_bundle(self, webhook: str, keeper: IdentityKeeper, client: Client) -> None:
        def roots() -> bytes:
            return keeper.current().roots_pem

        bundle = BundleKeeper(client, VALIDATING_WEBHOOKS, webhook, roots=roots, log=self.log)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bundle.run(), name="webhook-configuration")
            while True:
                await keeper.changed(keeper.current())
                await bundle.correct()
