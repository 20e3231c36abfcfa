"""Records that daemons leave for one another, as JSON. A corrupt one names its key and hurts only itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from artemon.errors import StoreError
from artemon.model.rejected_patch import RejectedPatch
from artemon.store.api import Entry

R = TypeVar("R")


class Corrupt(StoreError):
    """The value of `key` cannot be read."""

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        super().__init__(f"{key}: the value in the registry is corrupt: {reason}; delete or rewrite the key")


def to_json(fields: Mapping[str, Any]) -> bytes:
    """The value of a record; equal records have equal bytes."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read(entry: Entry, decode: Callable[[Mapping[str, Any]], R]) -> R:
    """The record of an entry. Raises Corrupt for whatever `decode` cannot take."""
    try:
        fields = json.loads(entry.value)
        if not isinstance(fields, dict):
            raise TypeError("it is no JSON object")
        return decode(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(entry.key, str(error) or repr(error)) from error


def read_all(
    entries: Iterable[Entry], decode: Callable[[Mapping[str, Any]], R]
) -> tuple[dict[str, R], tuple[Corrupt, ...]]:
    """The records by key, and what could not be read."""
    found, bad = dict[str, R](), list[Corrupt]()
    for entry in entries:
        try:
            found[entry.key] = read(entry, decode)
        except Corrupt as error:
            bad.append(error)
    return found, tuple(bad)


@dataclass(frozen=True, slots=True)
class Nacked:
    """The refusal of a response: Envoy's message, the resource where it names one, when (RFC 3339)."""

    version: str
    message: str
    resource: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """What was sent and acknowledged of one type of resource, by content version."""

    sent: str = ""
    acked: str = ""
    nacked: Nacked | None = None


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """What pilotd knows of one connected proxy.

    revision: everything owed from registry revisions up to it has been acknowledged. changed: the last
    revision that changed something for this proxy. types: by short name ("cds", "eds", ...). rejected:
    patches of EnvoyFilters that are not in what it was sent. trust: everything owed from the views of
    `trust/` ("bundle", "revoked") up to these revisions has been acknowledged."""

    node: str
    pilot: str
    connected: str
    revision: int = 0
    changed: int = 0
    types: Mapping[str, TypeStatus] = field(default_factory=dict)
    rejected: tuple[RejectedPatch, ...] = ()
    trust: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The value under `Layout.status`."""
        types = {name: _type_fields(one) for name, one in self.types.items()}
        own = {"node": self.node, "pilot": self.pilot, "connected": self.connected}
        rejected = {"rejected": [_patch_fields(one) for one in self.rejected]} if self.rejected else {}
        return to_json(
            {
                **own,
                "revision": self.revision,
                "changed": self.changed,
                "types": types,
                **rejected,
                **({"trust": dict(self.trust)} if self.trust else {}),
            }
        )

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> ProxyStatus:
        """For `read`."""
        return cls(
            node=str(fields["node"]),
            pilot=str(fields.get("pilot", "")),
            connected=str(fields.get("connected", "")),
            revision=int(fields.get("revision", 0)),
            changed=int(fields.get("changed", 0)),
            types={str(name): _type(one) for name, one in fields.get("types", {}).items()},
            rejected=tuple(_patch(one) for one in fields.get("rejected", ())),
            trust={str(name): int(value) for name, value in fields.get("trust", {}).items()},
        )


def _patch_fields(one: RejectedPatch) -> dict[str, Any]:
    return {"object": one.object, "patch": one.patch, "resource": one.resource, "reason": one.reason}


def _patch(fields: Mapping[str, Any]) -> RejectedPatch:
    return RejectedPatch(
        str(fields["object"]),
        int(fields["patch"]),
        str(fields.get("resource", "")),
        str(fields.get("reason", "")),
    )


def _type_fields(one: TypeStatus) -> dict[str, Any]:
    fields: dict[str, Any] = {"sent": one.sent, "acked": one.acked}
    if one.nacked is not None:
        bad = one.nacked
        fields["nacked"] = {
            "version": bad.version,
            "message": bad.message,
            "resource": bad.resource,
            "at": bad.at,
        }
    return fields


def _type(fields: Mapping[str, Any]) -> TypeStatus:
    bad = fields.get("nacked")
    names = ("version", "message", "resource", "at")
    nacked = Nacked(*(str(bad.get(name, "")) for name in names)) if bad else None
    return TypeStatus(str(fields.get("sent", "")), str(fields.get("acked", "")), nacked)
