"""etcd as a registry of services: whoever writes a record under a prefix, with a lease, is in the mesh."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.registry.api import Registry, RegistrySettings
from artemon.registry.etcd.registry import EtcdRegistry
from artemon.registry.etcd.settings import EtcdRegistrySettings


@dataclass(frozen=True, slots=True)
class EtcdRegistryPlugin:
    """`etcd://host:2379,host2:2379`, with the settings of the registry in etcd and those of the records."""

    settings: type[RegistrySettings] = EtcdRegistrySettings

    def open(self, url: str, settings: RegistrySettings) -> Registry:
        """See `Plugin.open`."""
        return EtcdRegistry(url, EtcdRegistrySettings.model_validate(settings.model_dump()))


plugin = EtcdRegistryPlugin()
