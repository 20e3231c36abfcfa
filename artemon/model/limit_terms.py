"""The terms of a limit, as they travel from a proxy to whoever counts (`envoy.service.ratelimit.v3`).

The first entry of every descriptor has the key `TERMS` and says which limit it is and how much it allows, so
that whoever counts needs no configuration of its own. Proxies are told the terms by pilotd, and those that
may ask are the mesh's own.
"""

from __future__ import annotations

from typing import NamedTuple

TERMS = "artemon.limit"
DOMAIN = "artemon"
_SEPARATOR = " "


class Terms(NamedTuple):
    """name: `<namespace>/<object>/<rule>`. seconds: of the window."""

    name: str
    requests: int
    seconds: int
    sliding: bool = False

    def text(self) -> str:
        """As the value of a descriptor's entry."""
        return _SEPARATOR.join((self.name, str(self.requests), str(self.seconds), str(int(self.sliding))))

    @classmethod
    def read(cls, text: str) -> Terms:
        """The terms in a text. Raises ValueError."""
        name, requests, seconds, sliding = text.split(_SEPARATOR)
        found = cls(name, int(requests), int(seconds), sliding == "1")
        if found.requests < 1 or found.seconds < 1:
            raise ValueError("a limit allows at least one request in at least a second")
        return found
