"""What of a cluster galleyd reads."""

from __future__ import annotations

from pydantic import Field

from artemon.kube import cluster


class ReadOptions(cluster.ClusterOptions):
    """The query of a cluster's URL."""

    namespaces: str = Field("*", description="Namespaces (a, a*, with commas) whose objects are read.")
    secrets: str = Field(
        "", description="Namespaces (a, a*, with commas) whose Secrets gateways may name; empty: none."
    )
    webhook: str = Field(
        "", description="ValidatingWebhookConfiguration there whose CA bundle is kept right; empty: none."
    )


Cluster = cluster.Cluster[ReadOptions]
