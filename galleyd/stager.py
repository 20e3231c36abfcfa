"""Writes that no transaction holds: staged, switched to at once, then brought into place.

One at a time. A crash before the switch leaves the old state, one after it the new; what is left over is
tidied up by any galleyd that is there (docs/decisions/0020-staged-writes.md).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from artemon.errors import StoreError
from artemon.log import Log
from artemon.store.api import (
    ABSENT,
    MAX_TXN_BYTES,
    MAX_TXN_OPS,
    Batch,
    Check,
    Delete,
    Entry,
    Op,
    Put,
    Snapshot,
    Store,
    TxnResult,
)
from artemon.store.layout import Layout
from artemon.store.staging import STAGING, SWITCHED, Switch, Values, digest_of, pack, staged_by

log = Log("galleyd.stager")

MAX_DIRECT = 28
"""Operations besides the staged ones that the switch itself may do: with parts and history, they fit."""
GRACE = 5.0
"""Seconds in which a staged write must go on, or somebody else ends it."""
LOOK = 0.05
"""Seconds between looks at a write that one waits for."""


class Busy(StoreError):
    """Another large write is under way, and does not end."""


@dataclass(frozen=True, slots=True)
class Staged:
    """result: of the switch. versions: of the objects, once they are in place."""

    result: TxnResult
    versions: Mapping[str, int]


class Stager:
    """store: the registry as it is. grace: see GRACE."""

    def __init__(self, store: Store, layout: Layout, *, grace: float = GRACE) -> None:
        self._store, self._layout, self._grace = store, layout, grace

    @property
    def idle(self) -> Check:
        """Holds while no large write is under way: in every other write of configuration."""
        return Check(self._layout.switch, ABSENT)

    async def write(
        self, values: Values, known: Mapping[str, int], *, checks: Sequence[Check], ops: Sequence[Op]
    ) -> Staged:
        """Write `values`, if their keys have the versions `known`, and `ops`, if `checks` hold: all or none.
        Raises TooLarge; Busy; Unknown: perhaps it is in force, and then `tidy` brings it into place."""
        parts, write = pack(values), secrets.token_hex(8)
        lock = await self._lock(write)
        mine = Check(self._layout.switch, lock.position.revision)
        try:
            failed = await self._differing(known)
            result = TxnResult(False, lock.position, failed)
            if not failed:
                result = await self._switch(write, parts, [mine, *checks], ops)
        except BaseException:
            await self._abandon(mine)
            raise
        if not result.ok:
            await self._abandon(mine)
            return Staged(result, {})
        return Staged(result, await self._place_surely(result.position.revision))

    async def _lock(self, write: str) -> TxnResult:
        """Nobody else writes configuration from here on."""
        value = Switch(write, STAGING).encode()
        while True:
            result = await self._store.txn([self.idle], [Put(self._layout.switch, value)])
            if result.ok:
                return result
            await self.settled()

    async def _differing(self, known: Mapping[str, int]) -> tuple[str, ...]:
        found = {entry.key: entry.version for entry in (await self._store.list(self._layout.configs)).entries}
        return tuple(key for key, version in known.items() if found.get(key, ABSENT) != version)

    async def _switch(
        self, write: str, parts: Sequence[bytes], checks: Sequence[Check], ops: Sequence[Op]
    ) -> TxnResult:
        """The moment in which everything is in force."""
        versions = []
        for number, part in enumerate(parts):
            key = self._layout.part(write, number)
            versions.append(Check(key, (await self._store.put(key, part)).position.revision))
        switch = Switch(write, SWITCHED, len(parts), digest_of(parts))
        return await self._store.txn([*checks, *versions], [Put(self._layout.switch, switch.encode()), *ops])

    async def _abandon(self, mine: Check) -> None:
        """Let others write again."""
        try:
            await self._store.txn([mine], [Delete(mine.key)])
            await self._sweep(await self._staged())
        except StoreError as error:
            log.warning("not_abandoned", reason=error)

    async def settled(self) -> None:
        """Return when no large write is under way; one that does not go on is ended. Raises Busy."""
        loop = asyncio.get_running_loop()
        seen, since, end = 0, loop.time(), loop.time() + 6 * self._grace
        while (entry := await self._store.get(self._layout.switch)) is not None:
            now = loop.time()
            if entry.version != seen:
                seen, since = entry.version, now
            elif now - since >= self._grace:
                await self._end(entry)
                continue
            if now >= end:
                raise Busy("another large write of configuration is under way; try again")
            await asyncio.sleep(LOOK)

    async def _end(self, entry: Entry) -> None:
        """What another began and left: what was in force stays so. Raises StoreError for damaged parts."""
        if Switch.of(entry).state == SWITCHED:
            await self._place(entry)
            log.warning("staged_write_finished", revision=entry.version)
        else:
            await self._store.delete(self._layout.switch, if_version=entry.version)
            log.warning("staged_write_abandoned", revision=entry.version)

    async def _place_surely(self, version: int) -> Mapping[str, int]:
        """The objects' versions once they are in place; what cannot be done now is done by `run`."""
        try:
            entry = await self._store.get(self._layout.switch)
            if entry is not None and entry.version == version:
                return await self._place(entry)
        except StoreError as error:
            log.warning("not_in_place_yet", revision=version, reason=error)
        return {}

    async def _place(self, switch: Entry) -> Mapping[str, int]:
        """Bring the objects up to date, and take the switch away. Nobody else writes them meanwhile."""
        fence = Check(switch.key, switch.version)
        snapshot = await self._store.list(self._layout.configs)
        found = {entry.key: entry for entry in snapshot.entries}
        values = staged_by(Switch.of(switch), found, self._layout)
        versions = {
            key: found[key].version
            for key, value in values.items()
            if key in found and found[key].value == value
        }
        left: list[Op] = [
            Put(key, value) if value is not None else Delete(key)
            for key, value in values.items()
            if (key in found and found[key].value != value) or (key not in found and value is not None)
        ]
        for batch in batches(left):
            result = await self._store.txn([fence], batch)
            if not result.ok:  # another was quicker
                return await self._found(values)
            versions |= {op.key: result.position.revision for op in batch}
        parts = [key for key in found if key.startswith(self._layout.parts(Switch.of(switch).write))]
        await self._store.txn([fence], [Delete(switch.key), *(Delete(key) for key in parts)])
        return versions

    async def _found(self, values: Values) -> Mapping[str, int]:
        entries = (await self._store.list(self._layout.configs)).entries
        return {entry.key: entry.version for entry in entries if values.get(entry.key) == entry.value}

    async def _staged(self) -> dict[str, Entry]:
        return {entry.key: entry for entry in (await self._store.list(self._layout.staged)).entries}

    async def _sweep(self, staged: Mapping[str, Entry]) -> None:
        """Delete parts that belong to no write that is under way."""
        switch = staged.get(self._layout.switch)
        mine = self._layout.parts(Switch.of(switch).write) if switch else None
        gone = [key for key in staged if key != self._layout.switch and not (mine and key.startswith(mine))]
        for start in range(0, len(gone), MAX_TXN_OPS):
            await self._store.txn((), [Delete(key) for key in gone[start : start + MAX_TXN_OPS]])

    async def tidy(self) -> None:
        """End what nobody goes on with, and delete what is left over. Raises StoreError."""
        staged = await self._staged()
        if self._layout.switch in staged:
            await self.settled()
            staged = await self._staged()
        await self._sweep(staged)

    async def run(self) -> None:
        """Tidy up after others, until cancelled."""
        todo = False
        async for item in self._store.watch(self._layout.staged):
            todo = todo or (isinstance(item, Snapshot) and bool(item.entries)) or isinstance(item, Batch)
            if not todo:
                continue
            try:
                await self.tidy()
                todo = False
            except StoreError as error:
                log.error("staged_write_not_tidied", reason=error)


def batches(ops: Sequence[Op]) -> list[list[Op]]:
    """Transactions within the limits, each with one check."""
    found: list[list[Op]] = []
    size = 0
    for op in ops:
        own = len(op.key) + (len(op.value) if isinstance(op, Put) else 0)
        if not found or len(found[-1]) >= MAX_TXN_OPS - 1 or size + own > MAX_TXN_BYTES:
            found.append([])
            size = 0
        found[-1].append(op)
        size += own
    return found
