"""The only writer of configuration: compare-and-set, with history in the same transaction."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from artemon.errors import ArtemonError, StoreError, TooLarge, Unknown
from artemon.log import Log
from artemon.pki.signing import split
from artemon.store.api import (
    ABSENT,
    MAX_TXN_BYTES,
    MAX_TXN_OPS,
    MAX_VALUE,
    Check,
    Delete,
    Entry,
    Op,
    Put,
    Store,
)
from galleyd import history
from galleyd.body import check_size
from galleyd.keys import Keys
from galleyd.objects import Object, Ref, Stored, open_part
from galleyd.status import ApiError, Cause, outcome_unknown

log = Log("galleyd")

MAX_OBJECTS = MAX_TXN_OPS - 1
"""Objects that one transaction may change; the last operation is its history."""
TRIES = 5
"""How often a write is tried again when somebody else wrote in between."""
LOGGED = 3
"""Objects of a write that its log line names."""
REMEMBERED = 1024
"""Writes whose time is remembered, to tell how long proxies took."""
_ROOM = 4 * 1024
"""Bytes of a transaction left for keys and framing."""


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


async def _unaudited(decision: str, **fields: object) -> None:
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


def _empty(ref: Ref) -> Object:
    meta = {"name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": ref.kind.api_version, "kind": ref.kind.name, "metadata": meta, "spec": {}}


class Writer:
    """Reads and writes objects in the registry. now: the time, for history. audit: returns when a line is on
    disk; raises AuditUnavailable, and then nothing is written. seal: signs what is written."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        audit: Audit = _unaudited,
        seal: Seal = PLAIN,
    ) -> None:
        self.store, self._keys, self._now, self._audit, self._seal = store, keys, now, audit, seal
        self._turn = asyncio.Lock()
        self._committed: OrderedDict[int, float] = OrderedDict()
        self._last: int | None = None

    async def read(self, ref: Ref) -> Stored | None:
        """The object, read linearizably. A corrupt value reads as an empty object, so that it can be
        overwritten or deleted."""
        entry = await self.store.get(self._keys.of(ref))
        if entry is None:
            return None
        stored = decode(entry) or Stored(_empty(ref), entry.version)
        return replace(stored, sequence=self._seal.sequence(entry))

    async def version(self, ref: Ref) -> int:
        """The version of the object's key, also where its value is corrupt; ABSENT when there is none."""
        entry = await self.store.get(self._keys.of(ref))
        return entry.version if entry else ABSENT

    def check(self, write: Write) -> None:
        """Raises ApiError 413 when the object is too large to be written."""
        self._op(write)

    def committed_at(self, revision: int) -> float | None:
        """When (loop time) this process wrote `revision`; None when it did not, or long ago."""
        return self._committed.get(revision)

    async def commit(self, writes: Sequence[Write], *, who: str) -> int:
        """Write all or none, durably; the revision. Raises Lost, or ApiError: too large, outcome unknown."""
        if len(writes) > MAX_OBJECTS:
            raise _too_many(len(writes))
        ops = [self._op(write) for write in writes]
        return await self._write([self._check(write) for write in writes], ops, steps(writes), who)

    async def set_mesh(self, value: bytes, *, who: str, expected: int | None, dry_run: bool) -> int:
        """Write MeshConfig over version `expected` (None: whatever is there); its version.
        Raises ApiError 409."""
        check_size(value, "MeshConfig")
        key = self._keys.layout.mesh
        for _ in range(TRIES):
            entry = await self.store.get(key)
            version = entry.version if entry else ABSENT
            if expected is not None and expected != version:
                raise ApiError(409, "Conflict", "MeshConfig was changed in between; read it again")
            known = self._seal.sequence(entry) if entry else 0
            if dry_run or (entry and known and split(entry.value)[0] == value):
                return version
            before = json.loads(split(entry.value)[0]) if entry else None
            verb = "update" if entry else "create"
            step = history.Step(verb, "mesh", "", "mesh", before, json.loads(value))
            try:
                return await self._write(
                    [Check(key, version)], [Put(key, self._seal.sign(key, value, known))], [step], who
                )
            except Lost:
                continue
        raise ApiError(409, "Conflict", "others keep writing MeshConfig; try again")

    async def _write(
        self, checks: Sequence[Check], ops: Sequence[Op], taken: Sequence[history.Step], who: str
    ) -> int:
        used = sum(len(op.value) for op in ops if isinstance(op, Put))
        room = min(MAX_VALUE, MAX_TXN_BYTES - used - _ROOM)
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        value = history.encode(taken, who=who, at=at, room=room)
        named = [f"{step.verb} {step.plural}/{step.namespace}/{step.name}" for step in taken]
        async with self._turn:
            await self._audit("writing", who=who, objects=named)
            base = max((await self.store.list(ops[0].key)).position.revision, await self._newest())
            record = Put(self._keys.layout.history(base + 1), value)
            try:
                result = await self.store.txn([*checks, Check(record.key, ABSENT)], [*ops, record])
            except TooLarge as error:
                raise _too_big(str(error)) from error
            except Unknown as error:
                return await self._recover(record, error, who)
        self._last = base + 1 if result.ok else None
        if not result.ok:
            await self._audit("not written", who=who, reason="somebody else wrote in between")
            raise Lost
        revision = result.position.revision
        log.info("written", revision=revision, who=who, objects=len(taken), first=", ".join(named[:LOGGED]))
        await self._written(revision, who)
        return revision

    async def _newest(self) -> int:
        """The number of the newest record of history: greater than every revision, where the registry was
        moved here from another."""
        if self._last is None:
            records = (await self.store.list(self._keys.layout.histories)).entries
            self._last = int(records[-1].key.rpartition("/")[2]) if records else 0
        return self._last

    async def _written(self, revision: int, who: str) -> None:
        self._committed[revision] = asyncio.get_running_loop().time()
        while len(self._committed) > REMEMBERED:
            self._committed.popitem(last=False)
        try:
            await self._audit("written", who=who, revision=revision)
        except ArtemonError as error:  # done is done, and the line before says so
            log.error("audit_failed", reason=error, revision=revision)

    def _op(self, write: Write) -> Op:
        key = self._keys.of(write.ref)
        if write.after is None:
            return Delete(key)
        value = self._seal.sign(key, encode(write.after), write.before.sequence if write.before else 0)
        check_size(value, str(write.ref))
        return Put(key, value)

    def _check(self, write: Write) -> Check:
        return Check(self._keys.of(write.ref), write.before.version if write.before else ABSENT)

    async def _recover(self, record: Put, error: Unknown, who: str) -> int:
        """After a write of unknown outcome: its own history record tells whether it was applied."""
        try:
            entry = await self.store.get(record.key)
        except StoreError:
            entry = None
        if entry and entry.value == record.value:
            await self._written(entry.version, who)
            return entry.version
        raise outcome_unknown(
            f"the registry did not say whether it wrote: {error}; read before writing again"
        )


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


def _too_many(count: int) -> ApiError:
    text = (
        f"the transaction changes {count} objects; at most {MAX_OBJECTS} can be written all or none: "
        "split it into smaller ones"
    )
    return ApiError(422, "Invalid", text, causes=[Cause("", text)])


def _too_big(reason: str) -> ApiError:
    text = f"the transaction is too large to be written all or none: {reason}; split it into smaller ones"
    return ApiError(422, "Invalid", text, causes=[Cause("", text)])
