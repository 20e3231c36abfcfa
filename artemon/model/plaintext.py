"""What a proxy says of callers without mutual TLS at ports where it is not required (PERMISSIVE)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from artemon.errors import Problem, Refused

COUNTER = "plaintext"
"""The metric of Envoy, with the labels `FROM`, `PORT` and `KIND`."""
FROM, PORT, KIND = "from", "port", "kind"
PLAIN, OTHER_TLS = "plaintext", "tls"
"""Kinds: no TLS at all, and TLS of the application's own, which STRICT refuses as well."""
MAX_SEEN = 500
MAX_TEXT = 64


@dataclass(frozen=True, slots=True)
class Seen:
    """caller: an IP address. port: where the proxy listens. count: requests of HTTP, connections of all else.
    last: when that was seen to have grown, RFC 3339."""

    caller: str
    port: int
    kind: str
    count: int
    last: str


@dataclass(frozen=True, slots=True)
class PlaintextReport:
    """since: when counting began, RFC 3339."""

    since: str
    seen: tuple[Seen, ...] = ()

    def encode(self) -> str:
        """As text, the busiest callers first when there are too many."""
        busiest = sorted(self.seen, key=lambda one: -one.count)[:MAX_SEEN]
        return json.dumps({"since": self.since, "seen": [asdict(one) for one in busiest]})

    @classmethod
    def decode(cls, text: str) -> PlaintextReport:
        """From text. Raises Refused."""
        try:
            fields = json.loads(text)
            seen = tuple(
                Seen(
                    _text(one["caller"]),
                    int(one["port"]),
                    _text(one["kind"]),
                    int(one["count"]),
                    _text(one["last"]),
                )
                for one in fields["seen"][:MAX_SEEN]
            )
            return cls(_text(fields["since"]), seen)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise Refused([Problem("", f"is no report of callers: {error!r}"[:200])]) from error


def _seen(fields: Any) -> Seen:
    caller, kind, last = (_text(fields[name]) for name in ("caller", "kind", "last"))
    return Seen(caller, int(fields["port"]), kind, int(fields["count"]), last)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise ValueError("a text is too long, or not printable")
    return value
