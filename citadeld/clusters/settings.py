"""Where in a cluster citadeld writes."""

from __future__ import annotations

from pydantic import Field

from artemon.kube import cluster


class WriteOptions(cluster.ClusterOptions):
    """The query of a cluster's URL."""

    namespaces: str = Field("*", description="Namespaces (a, a*, with commas) that are told whom to trust.")
    secrets: str = Field(
        "",
        description="Namespaces (a, a*, with commas) whose service accounts may have their certificates as "
        "Secrets, if the namespace asks for it by the label ca.istio.io/override=true; empty: none.",
    )


Cluster = cluster.Cluster[WriteOptions]
