"""The registry in Consul: keys and values, sessions as leases, waiting queries as watches."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from artemon.store.api import Store
from artemon.store.consul.settings import ConsulSettings
from artemon.store.consul.store import ConsulStore


@dataclass(frozen=True, slots=True)
class ConsulPlugin:
    """`consul://host:8500,host2:8500`, `consul+https://...`, `consul+http://...`."""

    settings: type[BaseModel] = ConsulSettings

    async def open(self, url: str, settings: BaseModel) -> Store:
        """See `Plugin.open`."""
        return await ConsulStore.open(url, ConsulSettings.model_validate(settings))


plugin = ConsulPlugin()
