"""One door to every backend: a URL, and a plug-in from the entry-point group `artemon.stores` per scheme."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel

from artemon import plugins
from artemon.errors import StoreError
from artemon.store.api import Store

GROUP = "artemon.stores"


class Plugin(Protocol):
    """A backend. settings: its frozen class of settings, which may also stand in the URL's query."""

    settings: type[BaseModel]

    async def open(self, url: str, settings: BaseModel) -> Store:
        """A store for `url`, whose query has been read into `settings`. Raises StoreError."""


async def open_store(url: str, **settings: object) -> Store:
    """The registry at `url`, with settings from its query and from `settings` (which win).

    `memory://` (one process), `sqlite:///var/lib/artemon/mesh.db` or `file:///...` (one machine),
    `etcd://host:2379,host2:2379` (`etcd+http://` without TLS), `consul://host:8500`. Raises Refused for
    settings that are wrong, StoreError when it cannot be opened.
    """
    bare, _, query = url.partition("?")
    scheme = urlsplit(bare).scheme
    values = {**plugins.in_query(query), **settings}
    plugin = _plugin(scheme.partition("+")[0], url)
    checked = plugins.checked(plugin.settings, values, owner="registry", subject=bare)
    return await plugin.open(bare, checked)


def _plugin(name: str, url: str) -> Plugin:
    try:
        plugin: Plugin = plugins.load(GROUP, name, mark="://")
    except LookupError as error:
        raise StoreError(f"registry {url!r}: {error}") from error
    return plugin
