"""What is written, and how it lies in the registry."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from artemon.pki.signing import split
from artemon.store.api import Entry
from galleyd import history
from galleyd.objects import Object, Ref, Stored, open_part


@dataclass(frozen=True, slots=True)
class Write:
    """One object to write: `after` None deletes. `before` is what was read, None when absent."""

    ref: Ref
    before: Stored | None
    after: Object | None

    @property
    def verb(self) -> str:
        """create, update or delete."""
        if self.after is None:
            return "delete"
        return "update" if self.before else "create"


Audit = Callable[..., Awaitable[None]]
"""Writes a decision down, with fields; returns when it is on disk (`AuditLog.append`)."""


async def unaudited(decision: str, **fields: object) -> None:
    """Keeps nothing."""


class Seal(Protocol):
    """Signs values (`galleyd.signer.Signer`)."""

    def sign(self, key: str, body: bytes, after: int = 0) -> bytes:
        """The value to be written under `key`, newer than sequence `after`."""

    def sequence(self, entry: Entry) -> int:
        """The sequence of a value that is signed as it must be; else 0."""


class _Plain:
    def sign(self, key: str, body: bytes, after: int = 0) -> bytes:
        return body

    def sequence(self, entry: Entry) -> int:
        return 1


PLAIN: Seal = _Plain()
"""Signs nothing, and takes everything for signed."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A write that was done. versions: by key, where they are others than the revision."""

    revision: int
    versions: Mapping[str, int] = field(default_factory=dict)


class Lost(Exception):
    """Somebody else wrote one of the objects in between; nothing was written."""


def encode(obj: Object) -> bytes:
    """The value of an object's key."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()


def decode(entry: Entry) -> Stored | None:
    """The object of a key; None when the value is corrupt (it hurts only itself)."""
    try:
        value = json.loads(split(entry.value)[0])
    except (ValueError, RecursionError):
        return None
    whole = (
        isinstance(value, dict) and isinstance(value.get("metadata"), dict) and value["metadata"].get("name")
    )
    return Stored(value, entry.version) if whole else None


def empty(ref: Ref) -> Object:
    """An object that says nothing, in the place of one that cannot be read."""
    meta = {"name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": ref.kind.api_version, "kind": ref.kind.name, "metadata": meta, "spec": {}}


def steps(writes: Sequence[Write]) -> list[history.Step]:
    """Writes as history keeps them."""
    return [
        history.Step(
            verb=write.verb,
            plural=write.ref.kind.plural,
            namespace=write.ref.namespace,
            name=write.ref.name,
            before=open_part(write.before.object) if write.before else None,
            after=open_part(write.after) if write.after else None,
        )
        for write in writes
    ]
