"""One door to every attestor: a URL, and a plug-in from the entry-point group `artemon.attestors`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

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
    values = {"name": kind, **dict(parse_qsl(query, keep_blank_values=True))}
    try:
        settings = plugin.settings.model_validate(values)
    except ValidationError as error:
        raise Refused([_problem(item) for item in error.errors()], subject=address) from error
    return Opened(settings.name or kind, plugin.open(address, settings, around))


def _plugin(kind: str, url: str) -> Plugin:
    known = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in known:
        schemes = ", ".join(f"{scheme}:" for scheme in sorted(known))
        raise Refused([Problem("attestors", f"{url!r}: unknown scheme; use one of {schemes}")])
    plugin: Plugin = known[kind].load()
    return plugin


def _problem(item: Mapping[str, Any]) -> Problem:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return Problem(path, "is not a setting of this attestor")
    return Problem(path, str(item["msg"]).removeprefix("Value error, "))
