"""One door to every authority: a URL, and a plug-in from the entry-point group `artemon.authorities`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from artemon.errors import Problem, Refused
from citadeld.authorities.api import GROUP, Place, Plugin, Source


def open_authority(url: str, place: Place) -> Source:
    """The authority at `url`, as `own:` or `files:/etc/pki/artemon`. Raises Refused and ArtemonError."""
    address, _, query = url.partition("?")
    known = {point.name: point for point in entry_points(group=GROUP)}
    kind = address.partition(":")[0]
    if kind not in known:
        schemes = ", ".join(f"{scheme}:" for scheme in sorted(known))
        raise Refused([Problem("authority", f"{address!r}: unknown scheme; use one of {schemes}")])
    plugin: Plugin = known[kind].load()
    try:
        settings = plugin.settings.model_validate(dict(parse_qsl(query, keep_blank_values=True)))
    except ValidationError as error:
        raise Refused([_problem(item) for item in error.errors()], subject=address) from error
    return plugin.open(address, settings, place)


def _problem(item: Mapping[str, Any]) -> Problem:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return Problem(path, "is not a setting of this authority")
    return Problem(path, str(item["msg"]).removeprefix("Value error, "))
