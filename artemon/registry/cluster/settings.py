"""What is read of a cluster, and how its services are called."""

from __future__ import annotations

from pydantic import Field

from artemon.registry.api import RegistrySettings


class ClusterSettings(RegistrySettings):
    """The query of a `kubernetes://` URL."""

    context: str = Field("", description="Context of the kubeconfig; its current one when empty.")
    domain: str = Field("cluster.local", description="Services are called <name>.<namespace>.svc.<domain>.")
    namespaces: str = Field(
        "", description="Take only namespaces whose labels match this selector, as mesh=on,stage!=test."
    )
    remotes: str = Field(
        "",
        pattern="^[a-z0-9-]{0,63}$",
        description="Namespace whose Secrets (label istio/multiCluster=true) tell of more clusters.",
    )
    nodes: bool = Field(True, description="Read nodes: instances have their region and zone.")
    proof: float = Field(20.0, ge=0.5, description="Seconds between two proofs that the view is current.")
