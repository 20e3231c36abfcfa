"""The registry of one process: the embedded one, on memory instead of a file."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from artemon.errors import StoreError
from artemon.store.api import Store
from artemon.store.sqlite.store import SqliteSettings, SqliteStore


@dataclass(frozen=True, slots=True)
class MemoryPlugin:
    """`memory://`: every opening is a new, empty registry."""

    settings: type[BaseModel] = SqliteSettings

    async def open(self, url: str, settings: BaseModel) -> Store:
        """See `Plugin.open`."""
        if url != "memory://":
            raise StoreError(f"registry {url!r}: write memory:// and nothing after it")
        return await SqliteStore.open(":memory:", SqliteSettings.model_validate(settings))


plugin = MemoryPlugin()
