"""What everyone trusts and no longer trusts, as citadeld leaves it under `trust/` for all who read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from artemon.errors import Problem, Refused

BUNDLE = "trust/bundle"
REVOKED = "trust/revoked/"
SERIALS, IDENTITIES, LISTS = f"{REVOKED}serials/", f"{REVOKED}identities/", f"{REVOKED}lists/"
DRAIN = f"{REVOKED}drain"
"""Keys below `artemon/<mesh>/`; those that end with a slash are prefixes."""


def serial_name(serial: int) -> str:
    """The DNS name by which a leaf tells its own serial. gRPC has no revocation lists over xDS, but its RBAC
    reads DNS names (gRFC A41). `.invalid` is nobody's (RFC 2606)."""
    return f"serial-{serial:x}.invalid"


@lru_cache(maxsize=2)
def _serial_names(serials: frozenset[int]) -> tuple[str, ...]:
    return tuple(sorted(map(serial_name, serials)))


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """The value of one key. kind: BUNDLE, SERIALS, IDENTITIES, LISTS or DRAIN. text: PEM of roots or of a
    list, an identity, a serial in hexadecimal, a time."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Trust:
    """All of it. roots and lists: PEM; lists is empty while nothing is revoked. bans: identities, as URIs.
    serials: of revoked certificates. drain: which revocation open connections have to end for; it never goes
    back, or they would end again."""

    roots: bytes = b""
    lists: bytes = b""
    bans: tuple[str, ...] = ()
    serials: frozenset[int] = field(default_factory=frozenset)
    drain: str = ""

    @classmethod
    def of(cls, records: Mapping[str, TrustRecord]) -> Trust:
        """From the records by key."""
        texts: dict[str, list[str]] = {BUNDLE: [], SERIALS: [], IDENTITIES: [], LISTS: [], DRAIN: []}
        for _, record in sorted(records.items()):
            texts[record.kind].append(record.text)
        serials = frozenset(int(text, 16) for text in texts[SERIALS])
        return cls(
            roots="".join(texts[BUNDLE]).encode(),
            lists="".join(texts[LISTS]).encode() if serials else b"",
            bans=tuple(texts[IDENTITIES]),
            serials=serials,
            drain="".join(texts[DRAIN]),
        )

    @property
    def serial_names(self) -> tuple[str, ...]:
        """Those of the revoked certificates, in order."""
        return _serial_names(self.serials)

    def refuses(self, identity: str, serial: int | None) -> bool:
        """Whether who shows a certificate of this identity, with this serial, is refused."""
        return identity in self.bans or serial in self.serials


def decode_trust(key: str, value: bytes) -> TrustRecord:
    """The record under `key`. Raises Refused with what is wrong."""
    kind = next((one for one in _TEXTS if key.startswith(one)), None)
    if kind is None:
        raise Refused([Problem("", f"nothing is kept under the key {key}")])
    try:
        text = _TEXTS[kind](json.loads(value))
        if kind == SERIALS:
            int(text, 16)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Refused([Problem("", f"is not a record of trust: {error!r}")]) from error
    return TrustRecord(kind, text)


_TEXTS: Mapping[str, Callable[[Any], str]] = {
    BUNDLE: lambda fields: "".join(map(str, fields["roots"])),
    SERIALS: lambda fields: str(fields["serial"]),
    IDENTITIES: lambda fields: str(fields["identity"]),
    LISTS: lambda fields: str(fields["pem"]),
    DRAIN: lambda fields: str(fields["at"]),
}
