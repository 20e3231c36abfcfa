"""The registry as daemons see it. One contract, run against every backend: tests/conformance/.

Guarantees. Bounded in time: every call but `watch`. Atomic: `txn`, `list`. Level, not edge: `watch` delivers
every lasting state and every delete; states in between may be skipped. Keys have no leading slash and consist
of `[a-zA-Z0-9._/~-]`; no part between slashes is empty, `.` or `..`. Values up to 256 KiB; transactions up to
64 operations and 368 KiB (what fits into half a megabyte of base64). What is over the limits is refused as
TooLarge by every backend alike, what makes no sense as StoreError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_VALUE = 256 * 1024
MAX_TXN_OPS = 64
MAX_TXN_BYTES = 368 * 1024
ABSENT = 0
"""As a version: the key must not exist."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A point in the registry's history; comparable only within one epoch.

    A new epoch begins when the registry was wiped, restored or replaced. Each client counts resets of one and
    the same registry for itself, so epochs are compared within one process only; revisions travel.
    """

    epoch: str
    revision: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value. version: opaque compare-and-set token that grows while the key lives.
    created: the version at which the key came into being (a fencing token). lease: "" when not leased."""

    key: str
    value: bytes
    version: int
    created: int = 0
    lease: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All entries under a prefix at one position, sorted by key. reason: why a watch (re)started here
    ("start", "compacted", "reset", "diverged")."""

    entries: tuple[Entry, ...]
    position: Position
    reason: str = "start"


@dataclass(frozen=True, slots=True)
class Deleted:
    """A key that is gone. version: the revision that deleted it."""

    key: str
    version: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole revisions after the last item, in order; everything up to `position` has been delivered."""

    changes: tuple[Entry | Deleted, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing changed under the prefix up to `position`; proof of life."""

    position: Position


@dataclass(frozen=True, slots=True)
class Stale:
    """No proof of life for `seconds`; the last state stands and may be old. reason: the last failure."""

    seconds: float
    reason: str = ""


WatchItem = Snapshot | Batch | Bookmark | Stale


@dataclass(frozen=True, slots=True)
class Check:
    """A condition of a transaction: `key` has exactly this `version` (ABSENT: does not exist), or, when
    `created` is given, was created at that version (it is still the same election)."""

    key: str
    version: int | None = None
    created: int | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """Write a value; with `lease`, it vanishes with it."""

    key: str
    value: bytes
    lease: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key; a key that is absent is no failure."""

    key: str


Op = Put | Delete


@dataclass(frozen=True, slots=True)
class TxnResult:
    """ok: all applied at `position` (the new version of every written key is its revision), or nothing:
    then `failed` names the keys whose check did not hold."""

    ok: bool
    position: Position
    failed: tuple[str, ...] = ()


class Lease(Protocol):
    """Keys bound to it vanish not before `ttl` seconds after its last renewal.

    Renewed in the background; `lost` is set by the local clock (suspended time counts) at the latest at the
    sending time of the last good renewal + ttl, before the server deletes anything. It is never renewed after
    that: take a new lease and write again. A closed store renews nothing; its leases run out.
    """

    id: str
    ttl: float
    lost: asyncio.Event

    async def revoke(self) -> None:
        """Let go at once: the keys are deleted."""


class Election(Protocol):
    """A campaign for one role, until it is resigned: after a loss it campaigns again.

    While `leading` is set, `check()` goes into every leader-only transaction. `lost` is set from the loss of
    the role until it is won again.
    """

    leading: asyncio.Event
    lost: asyncio.Event

    def check(self) -> Check:
        """The fence: holds only as long as this candidate leads. Raises StoreError when it does not."""

    async def resign(self) -> None:
        """Give the role up (or stop the campaign)."""


class Store(Protocol):
    """The registry. Unavailable: surely not applied. Unknown: perhaps applied; read before writing again."""

    async def get(self, key: str) -> Entry | None:
        """The entry, read linearizably."""

    async def list(self, prefix: str) -> Snapshot:
        """All entries whose key starts with `prefix`, at one position."""

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        """All operations, if every check holds; else none. A failed check is a result, not an exception.

        No key may be written twice. Raises LeaseGone for a Put whose lease is over; then nothing was applied.
        """

    async def put(
        self, key: str, value: bytes, *, if_version: int | None = None, lease: str = ""
    ) -> TxnResult:
        """Write one key, with `if_version` only over that version (ABSENT: only if new)."""

    async def delete(self, key: str, *, if_version: int | None = None) -> TxnResult:
        """Remove one key."""

    async def lease(self, ttl: float) -> Lease:
        """A new lease of `ttl` seconds, 2 or more."""

    async def revoke(self, lease: str) -> None:
        """End a lease, whoever holds it (`Entry.lease`): its keys are deleted; its holder learns it at its
        next renewal. One that is gone is no failure."""

    def watch(self, prefix: str) -> AsyncIterator[WatchItem]:
        """A Snapshot, then Batches in increasing position; on any doubt a new Snapshot with its reason.
        Ends only by cancellation; survives outages of the server. Whoever wants a copy uses `Follow`."""

    async def elect(self, role: str, identity: str, ttl: float = 10.0) -> Election:
        """Start to campaign for the key `role`; returns at once."""

    async def close(self) -> None:
        """Release connections and files."""
