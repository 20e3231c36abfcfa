"""One door to every authority: a URL, and a plug-in from the entry-point group `artemon.authorities`."""

from __future__ import annotations

from artemon import plugins
from artemon.errors import Problem, Refused
from citadeld.authorities.api import GROUP, Place, Plugin, Source


def open_authority(url: str, place: Place) -> Source:
    """The authority at `url`, as `own:` or `files:/etc/pki/artemon`. Raises Refused and ArtemonError."""
    address, _, query = url.partition("?")
    try:
        plugin: Plugin = plugins.load(GROUP, address.partition(":")[0], mark=":")
    except LookupError as error:
        raise Refused([Problem("authority", f"{address!r}: {error}")]) from error
    settings = plugins.checked(plugin.settings, plugins.in_query(query), owner="authority", subject=address)
    return plugin.open(address, settings, place)
