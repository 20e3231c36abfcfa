"""How far the proxies have come with a revision, from what pilotd writes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from artemon.store.api import Entry

ProxyStatus = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Nack:
    """A resource that one proxy refused, with Envoy's reason."""

    proxy: str
    type: str
    resource: str
    message: str

    def json(self) -> dict[str, str]:
        """As the API shows it."""
        return {"proxy": self.proxy, "type": self.type, "resource": self.resource, "message": self.message}


@dataclass(frozen=True, slots=True)
class Progress:
    """Of the connected proxies: those that have everything of a revision, those that still owe an answer,
    and what was refused of it."""

    acked: tuple[str, ...]
    pending: tuple[str, ...]
    nacks: tuple[Nack, ...]

    @property
    def settled(self) -> bool:
        """Whether every proxy has answered."""
        return not self.pending

    @property
    def proxies(self) -> int:
        """How many are connected."""
        return len(self.acked) + len(self.pending) + len({nack.proxy for nack in self.nacks})


class Statuses:
    """Reads what pilotd writes; a record is parsed once."""

    def __init__(self) -> None:
        self._parsed: dict[str, tuple[bytes, ProxyStatus | None]] = {}

    def read(self, entries: Iterable[Entry]) -> dict[str, ProxyStatus]:
        """Status by proxy; corrupt values are left out."""
        known, self._parsed = self._parsed, {}
        found: dict[str, ProxyStatus] = {}
        for entry in entries:
            value, status = known.get(entry.key, (b"", None))
            if value != entry.value:
                status = _parse(entry.value)
            self._parsed[entry.key] = (entry.value, status)
            if status is not None:
                found[entry.key.rpartition("/")[2]] = status
        return found


def _parse(value: bytes) -> ProxyStatus | None:
    try:
        status = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return status if isinstance(status, dict) else None


def progress(statuses: Mapping[str, ProxyStatus], revision: int, *, view: str = "") -> Progress:
    """The progress of `revision`, or of that revision of a view of `trust/`. A proxy that refused something
    of it has answered, with a Nack."""
    acked: list[str] = []
    pending: list[str] = []
    nacks: list[Nack] = []
    for proxy, status in sorted(statuses.items()):
        refused = _nacks(proxy, status) if _number(status, "changed") >= revision else []
        nacks += refused
        if refused:
            continue
        reached = _number(status.get("trust") or {}, view) if view else _number(status, "revision")
        (acked if reached >= revision else pending).append(proxy)
    return Progress(tuple(acked), tuple(pending), tuple(nacks))


def _number(status: ProxyStatus, name: str) -> int:
    value = status.get(name)
    return value if isinstance(value, int) else 0


def _nacks(proxy: str, status: ProxyStatus) -> list[Nack]:
    types = status.get("types")
    found = []
    for name, state in (types if isinstance(types, dict) else {}).items():
        nacked = state.get("nacked") if isinstance(state, dict) else None
        if isinstance(nacked, dict):
            resource, message = str(nacked.get("resource") or ""), str(nacked.get("message") or "")
            found.append(Nack(proxy, name, resource, message))
    return found
