"""Consul's catalog as a registry: what is registered there joins the mesh without being touched."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.registry.api import Registry, RegistrySettings
from artemon.registry.consul.client import Client
from artemon.registry.consul.registry import ConsulRegistry
from artemon.registry.consul.settings import ConsulSettings


@dataclass(frozen=True, slots=True)
class ConsulPlugin:
    """`consul://host:8500,host2:8500`, `consul+https://...`, `consul+http://...`."""

    settings: type[RegistrySettings] = ConsulSettings

    def open(self, url: str, settings: RegistrySettings) -> Registry:
        """See `Plugin.open`."""
        checked = ConsulSettings.model_validate(settings.model_dump())
        return ConsulRegistry(Client(url, checked), checked)


plugin = ConsulPlugin()
