"""The only writer of configuration: compare-and-set, with history in the same transaction."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

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
from artemon.store.whole import Whole
from galleyd import history
from galleyd.body import check_size
from galleyd.keys import Keys
from galleyd.objects import Ref, Stored
from galleyd.stager import MAX_DIRECT, Busy, Staged, Stager
from galleyd.status import ApiError, Cause, outcome_unknown, unavailable
from galleyd.writes import PLAIN, Audit, Committed, Lost, Seal, Write, decode, empty, encode, steps, unaudited

log = Log("galleyd")

MAX_OBJECTS = MAX_TXN_OPS - 2
"""Objects that one transaction may change, besides history and the look at the switch; more are staged."""
MAX_BYTES = MAX_TXN_BYTES // 2
"""Bytes of objects that one transaction may hold, so that history has room; more are staged."""
SINGLY = 8
"""Objects up to which each is read by itself."""
TRIES = 5
"""How often a write is tried again when somebody else wrote in between."""
LOGGED = 3
"""Objects of a write that its log line names."""
REMEMBERED = 1024
"""Writes whose time is remembered, to tell how long proxies took."""
_ROOM = 4 * 1024
"""Bytes of a transaction left for keys and framing."""


class Writer:
    """Reads and writes objects in the registry. now: the time, for history. audit: returns when a line is on
    disk; raises AuditUnavailable, and then nothing is written. seal: signs what is written."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        audit: Audit = unaudited,
        seal: Seal = PLAIN,
    ) -> None:
        self.store, self._keys, self._now, self._audit, self._seal = store, keys, now, audit, seal
        self._plain = Whole.over(store, keys.layout).plain
        self.stager = Stager(self._plain, keys.layout)
        self._turn = asyncio.Lock()
        self._committed: OrderedDict[int, float] = OrderedDict()
        self._last: int | None = None

    async def read(self, ref: Ref) -> Stored | None:
        """The object, read linearizably. A corrupt value reads as an empty object, so that it can be
        overwritten or deleted."""
        return self._stored(ref, await self.store.get(self._keys.of(ref)))

    async def read_all(self, refs: Sequence[Ref]) -> Mapping[Ref, Stored | None]:
        """The objects, as `read` reads them; many with one look at all there are."""
        if len(refs) <= SINGLY:
            return {ref: await self.read(ref) for ref in refs}
        found: dict[str, Entry] = {}
        for prefix in {self._keys.root_of(ref.kind) for ref in refs}:
            found |= {entry.key: entry for entry in (await self.store.list(prefix)).entries}
        return {ref: self._stored(ref, found.get(self._keys.of(ref))) for ref in refs}

    def _stored(self, ref: Ref, entry: Entry | None) -> Stored | None:
        if entry is None:
            return None
        stored = decode(entry) or Stored(empty(ref), entry.version)
        return replace(stored, sequence=self._seal.sequence(entry))

    def key_of(self, ref: Ref) -> str:
        """Where the object lies."""
        return self._keys.of(ref)

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

    async def commit(self, writes: Sequence[Write], *, who: str) -> Committed:
        """Write all or none, durably. Raises Lost, or ApiError: too large, outcome unknown."""
        ops, checks = [self._op(write) for write in writes], [self._check(write) for write in writes]
        return await self._write(checks, ops, steps(writes), who)

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
                put = Put(key, self._seal.sign(key, value, known))
                return (await self._write([Check(key, version)], [put], [step], who)).revision
            except Lost:
                continue
        raise ApiError(409, "Conflict", "others keep writing MeshConfig; try again")

    async def _write(
        self, checks: Sequence[Check], ops: Sequence[Op], taken: Sequence[history.Step], who: str
    ) -> Committed:
        direct = self._direct(ops)
        room = min(MAX_VALUE, MAX_TXN_BYTES - _bytes(direct) - _ROOM)
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        value = history.encode(taken, who=who, at=at, room=room)
        named = [f"{step.verb} {step.plural}/{step.namespace}/{step.name}" for step in taken]
        async with self._turn:
            await self._audit("writing", who=who, objects=named)
            base = max((await self._plain.list(ops[0].key)).position.revision, await self._newest())
            record = Put(self._keys.layout.history(base + 1), value)
            try:
                done = await self._apply([*checks, Check(record.key, ABSENT)], ops, direct, record)
            except TooLarge as error:
                raise _too_big(str(error)) from error
            except Busy as error:
                raise unavailable(f"{error}; nothing was written") from error
            except Unknown as error:
                return await self._recover(record, error, who)
        self._last = base + 1 if done.result.ok else None
        if not done.result.ok:
            await self._audit("not written", who=who, reason="somebody else wrote in between")
            raise Lost
        revision = done.result.position.revision
        log.info("written", revision=revision, who=who, objects=len(taken), first=", ".join(named[:LOGGED]))
        await self._written(revision, who)
        return Committed(revision, done.versions)

    def _direct(self, ops: Sequence[Op]) -> Sequence[Op]:
        """What is written by the transaction itself: everything that it can hold, else what is no
        configuration. Raises ApiError 422 when that is too much."""
        if len(ops) <= MAX_OBJECTS and _bytes(ops) <= MAX_BYTES:
            return ops
        direct = [op for op in ops if not op.key.startswith(self._keys.layout.configs)]
        if len(direct) > MAX_DIRECT:
            raise _too_many(len(direct))
        return direct

    async def _apply(
        self, checks: Sequence[Check], ops: Sequence[Op], direct: Sequence[Op], record: Put
    ) -> Staged:
        """All or none, with `record`. Raises StoreError."""
        now = {op.key for op in direct} | {record.key}
        staged = {op.key: op.value if isinstance(op, Put) else None for op in ops if op.key not in now}
        mine = [check for check in checks if check.key in now]
        if staged:
            known = {check.key: check.version or ABSENT for check in checks if check.key not in now}
            return await self.stager.write(staged, known, checks=mine, ops=[*direct, record])
        for _ in range(TRIES):
            result = await self._plain.txn([*mine, self.stager.idle], [*direct, record])
            if result.ok or self.stager.idle.key not in result.failed:
                return Staged(result, {})
            await self.stager.settled()
        raise Busy("large writes of configuration follow one another; try again")

    async def _newest(self) -> int:
        """The number of the newest record of history: greater than every revision, where the registry was
        moved here from another."""
        if self._last is None:
            records = (await self._plain.list(self._keys.layout.histories)).entries
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

    async def _recover(self, record: Put, error: Unknown, who: str) -> Committed:
        """After a write of unknown outcome: its own history record tells whether it was applied."""
        try:
            entry = await self.store.get(record.key)
        except StoreError:
            entry = None
        if entry and entry.value == record.value:
            await self._written(entry.version, who)
            return Committed(entry.version)
        raise outcome_unknown(
            f"the registry did not say whether it wrote: {error}; read before writing again"
        )


def _bytes(ops: Sequence[Op]) -> int:
    return sum(len(op.key) + len(op.value) for op in ops if isinstance(op, Put))


def _too_many(count: int) -> ApiError:
    text = (
        f"the transaction is large and changes {count} Secrets and namespaces; at most {MAX_DIRECT} can be "
        "written all or none with it: write them by themselves"
    )
    return ApiError(422, "Invalid", text, causes=[Cause("", text)])


def _too_big(reason: str) -> ApiError:
    text = f"the transaction is too large to be written all or none: {reason}; split it into smaller ones"
    return ApiError(422, "Invalid", text, causes=[Cause("", text)])
