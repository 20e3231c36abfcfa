"""A Kubernetes cluster as a registry: its Services join the mesh without being touched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from artemon.errors import ArtemonError, StoreError
from artemon.kube.kubeconfig import cluster_access
from artemon.registry.api import Registry, RegistrySettings
from artemon.registry.cluster.registry import ClusterRegistry
from artemon.registry.cluster.remotes import remotes
from artemon.registry.cluster.settings import ClusterSettings
from artemon.registry.open import Opened


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

    def remotes(
        self, url: str, settings: RegistrySettings, said: Callable[[str], None]
    ) -> AsyncIterator[tuple[Opened, ...]] | None:
        """See `RemotePlugin`."""
        checked = ClusterSettings.model_validate(settings.model_dump())
        file = url.partition("://")[2]
        access = partial(cluster_access, file, context=checked.context)
        return remotes(access, checked, said) if checked.remotes else None


plugin = ClusterPlugin()
