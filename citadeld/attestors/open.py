"""One door to every attestor: a URL, and a plug-in from the entry-point group `artemon.attestors`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from artemon import plugins
from artemon.errors import Problem, Refused
from citadeld.attestors.api import GROUP, Attestor, Plugin, Surroundings


@dataclass(frozen=True, slots=True)
class Opened:
    """An attestor by its name."""

    name: str
    attestor: Attestor


def open_attestors(urls: Iterable[str], around: Surroundings) -> tuple[Opened, ...]:
    """The attestors at `urls`. Raises Refused for settings that are wrong, or for two of one name."""
    opened = tuple(open_attestor(url, around) for url in urls)
    names = [one.name for one in opened]
    for name in names:
        if names.count(name) > 1:
            raise Refused([Problem("attestors", f"two are called {name}; give one of them ?name=...")])
    return opened


def open_attestor(url: str, around: Surroundings) -> Opened:
    """The attestor at `url`, as `jwt+https://issuer.example?audience=artemon`. Raises Refused
    and ArtemonError."""
    address, _, query = url.partition("?")
    kind = address.partition(":")[0].partition("+")[0]
    plugin = _plugin(kind, address)
    values = {"name": kind, **plugins.in_query(query)}
    settings = plugins.checked(plugin.settings, values, owner="attestor", subject=address)
    return Opened(settings.name or kind, plugin.open(address, settings, around))


def _plugin(kind: str, url: str) -> Plugin:
    try:
        plugin: Plugin = plugins.load(GROUP, kind, mark=":")
    except LookupError as error:
        raise Refused([Problem("attestors", f"{url!r}: {error}")]) from error
    return plugin
