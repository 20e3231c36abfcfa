"""The registry in etcd v3: a thin client of our own over gRPC."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from artemon.store.api import Store
from artemon.store.etcd.settings import EtcdSettings
from artemon.store.etcd.store import EtcdStore


@dataclass(frozen=True, slots=True)
class EtcdPlugin:
    """`etcd://host:2379,host2:2379`, `etcd+https://...`, `etcd+http://...`."""

    settings: type[BaseModel] = EtcdSettings

    async def open(self, url: str, settings: BaseModel) -> Store:
        """See `Plugin.open`."""
        return await EtcdStore.open(url, EtcdSettings.model_validate(settings))


plugin = EtcdPlugin()
