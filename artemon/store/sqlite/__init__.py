"""The embedded registry: one SQLite file shared by the processes of one machine."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from artemon.errors import StoreError
from artemon.store.api import Store
from artemon.store.sqlite.store import SqliteSettings, SqliteStore


@dataclass(frozen=True, slots=True)
class SqlitePlugin:
    """`sqlite:///path/mesh.db`, `file:///path/mesh.db`."""

    settings: type[BaseModel] = SqliteSettings

    async def open(self, url: str, settings: BaseModel) -> Store:
        """See `Plugin.open`."""
        parts = urlsplit(url)
        path = unquote(parts.path)
        if parts.netloc or not path.startswith("/") or path.endswith("/"):
            raise StoreError(
                f"registry {url!r}: write an absolute path, as sqlite:///var/lib/artemon/mesh.db"
            )
        return await SqliteStore.open(path, SqliteSettings.model_validate(settings))


plugin = SqlitePlugin()
