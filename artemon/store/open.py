"""One door to every backend: a URL, and a plug-in from the entry-point group `artemon.stores` per scheme."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ValidationError

from artemon.errors import Problem, Refused, StoreError
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
    plugin = _plugin(scheme.partition("+")[0], url)
    values: Mapping[str, object] = {**dict(parse_qsl(query, keep_blank_values=True)), **settings}
    try:
        checked = plugin.settings.model_validate(values)
    except ValidationError as error:
        raise Refused([_problem(item) for item in error.errors()], subject=bare) from error
    return await plugin.open(bare, checked)


def _plugin(name: str, url: str) -> Plugin:
    known = _installed()
    if name not in known:
        schemes = ", ".join(f"{scheme}://" for scheme in sorted(known))
        raise StoreError(f"registry {url!r}: unknown scheme; use one of {schemes}")
    plugin: Plugin = known[name].load()
    return plugin


@cache
def _installed() -> Mapping[str, EntryPoint]:
    """The plug-ins of this environment; looking for them reads every installed distribution."""
    return {point.name: point for point in entry_points(group=GROUP)}


def _problem(item: Mapping[str, object]) -> Problem:
    location = item["loc"]
    path = ".".join(str(part) for part in location) if isinstance(location, tuple) else str(location)
    message = "is not a setting of this registry" if item["type"] == "extra_forbidden" else str(item["msg"])
    return Problem(path, message)
