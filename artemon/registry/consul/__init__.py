"""Consul's catalog as a registry: what is registered there joins the mesh without being touched."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.registry.api import Registry, RegistrySettings
from artemon.registry.consul.client import Client
from artemon.registry.consul.exporter import ConsulExporter
from artemon.registry.consul.registry import ConsulRegistry
from artemon.registry.consul.settings import ConsulSettings
from artemon.registry.exports import Exporter


@dataclass(frozen=True, slots=True)
class ConsulPlugin:
    """`consul://host:8500,host2:8500`, `consul+https://...`, `consul+http://...`."""

    settings: type[RegistrySettings] = ConsulSettings

    def open(self, url: str, settings: RegistrySettings) -> Registry:
        """See `Plugin.open`."""
        checked = ConsulSettings.model_validate(settings.model_dump())
        return ConsulRegistry(Client(url, checked), checked)

    def exporter(self, url: str, settings: RegistrySettings, mesh: str) -> Exporter | None:
        """See `Plugin.exporter`."""
        checked = ConsulSettings.model_validate(settings.model_dump())
        return ConsulExporter(url, checked, mesh) if checked.export else None


plugin = ConsulPlugin()
