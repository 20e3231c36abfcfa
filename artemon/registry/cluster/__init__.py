"""A Kubernetes cluster as a registry: its Services join the mesh without being touched."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.errors import ArtemonError, StoreError
from artemon.kube.kubeconfig import cluster_access
from artemon.registry.api import Registry, RegistrySettings
from artemon.registry.cluster.registry import ClusterRegistry
from artemon.registry.cluster.settings import ClusterSettings


@dataclass(frozen=True, slots=True)
class ClusterPlugin:
    """`kubernetes:///path/of/a/kubeconfig`, or `kubernetes://in-cluster` for the pod's own cluster."""

    settings: type[RegistrySettings] = ClusterSettings

    def open(self, url: str, settings: RegistrySettings) -> Registry:
        """See `Plugin.open`."""
        checked = ClusterSettings.model_validate(settings.model_dump())
        file = url.partition("://")[2]
        try:
            cluster_access(file, context=checked.context)
        except ArtemonError as error:
            raise StoreError(f"{url}: {error}") from error
        return ClusterRegistry(lambda: cluster_access(file, context=checked.context), checked)


plugin = ClusterPlugin()
