"""One door to every registry: a URL, and a plug-in from the entry-point group `artemon.registries`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from artemon import plugins
from artemon.errors import Problem, Refused
from artemon.registry.api import GROUP, Plugin, Registry, RegistrySettings
from artemon.registry.exports import Exporter

Remotes = Callable[[Callable[[str], None]], "AsyncIterator[tuple[Opened, ...]] | None"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A registry with what it was told. address: its URL without settings. exporter: makes what shows it the
    services of a mesh, by the mesh's name; None where that is not asked for. remotes: tells of the further
    registries that this one knows of, all of them whenever they change; None where it knows of none."""

    name: str
    address: str
    settings: RegistrySettings
    registry: Registry
    exporter: Callable[[str], Exporter | None] = lambda _: None
    remotes: Remotes = lambda _: None


def open_registries(urls: Iterable[str]) -> tuple[Opened, ...]:
    """The registries at `urls`. Raises Refused for settings that are wrong, or for two of one name."""
    opened = tuple(open_registry(url) for url in urls)
    names = [one.name for one in opened]
    for one in opened:
        if names.count(one.name) > 1:
            message = f"two registries are called {one.name}; give one of them ?name=..."
            raise Refused([Problem("registries", message)])
    return opened


def open_registry(url: str) -> Opened:
    """The registry at `url`, as `consul://127.0.0.1:8500?namespace=shop`. Raises Refused, StoreError."""
    address, _, query = url.partition("?")
    kind = urlsplit(address).scheme.partition("+")[0]
    plugin = _plugin(kind, address)
    values = {"name": kind, **plugins.in_query(query)}
    settings = plugins.checked(plugin.settings, values, owner="registry", subject=address)
    registry = plugin.open(address, settings)
    exporter, remotes = _exporter(plugin, address, settings), _remotes(plugin, address, settings)
    return Opened(settings.name or kind, address, settings, registry, exporter, remotes)


def _remotes(plugin: Plugin, address: str, settings: RegistrySettings) -> Remotes:
    tell: Any = getattr(plugin, "remotes", None)
    return partial(tell, address, settings) if tell is not None else lambda _: None


def _exporter(plugin: Plugin, address: str, settings: RegistrySettings) -> Callable[[str], Exporter | None]:
    make: Callable[[str, RegistrySettings, str], Exporter | None] | None = getattr(plugin, "exporter", None)
    return partial(make, address, settings) if make is not None else lambda _: None


def _plugin(kind: str, url: str) -> Plugin:
    try:
        plugin: Plugin = plugins.load(GROUP, kind, mark="://")
    except LookupError as error:
        raise Refused([Problem("registries", f"{url!r}: {error}")]) from error
    return plugin
