"""Records of certificates, written together: what is asked for during one transaction is in the next.

For whoever asks it is `Store.txn`: all of one's operations or none, and nobody fails for another's checks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from artemon.errors import StoreError, Unknown
from artemon.store.api import MAX_TXN_BYTES, MAX_TXN_OPS, Check, Op, Put, Store, TxnResult


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """One caller's transaction. size: bytes, roughly as the limit counts them."""

    checks: tuple[Check, ...]
    ops: tuple[Op, ...]
    size: int
    done: asyncio.Future[TxnResult]

    def judged(self, result: TxnResult) -> None:
        """Tell the caller, who may have gone."""
        if not self.done.done():
            self.done.set_result(result)

    def failed(self, error: StoreError) -> None:
        """Tell the caller."""
        if not self.done.done():
            self.done.set_exception(error)


class Records:
    """Transactions of many callers over one store; `run()` must be running."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Wish] = deque()
        self._wake = asyncio.Event()

    async def commit(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        """See `Store.txn`."""
        size = sum(len(op.key) + (len(op.value) if isinstance(op, Put) else 0) for op in ops)
        wish = _Wish(tuple(checks), tuple(ops), size, asyncio.get_running_loop().create_future())
        self._waiting.append(wish)
        self._wake.set()
        return await wish.done

    async def run(self) -> None:
        """Write what is asked for, until cancelled."""
        batch: list[_Wish] = []
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._next():
                    await self._write(batch)
        finally:
            for wish in (*batch, *self._waiting):
                wish.failed(Unknown("citadeld ends; perhaps it is written down"))

    def _next(self) -> list[_Wish]:
        """Those that can be one transaction, in the order in which they came."""
        found: list[_Wish] = []
        written: set[str] = set()
        checks = ops = size = 0
        while self._waiting:
            wish = self._waiting[0]
            checks, ops, size = checks + len(wish.checks), ops + len(wish.ops), size + wish.size
            fits = max(checks, ops) <= MAX_TXN_OPS and size <= MAX_TXN_BYTES
            touched = {one.key for one in (*wish.checks, *wish.ops)}
            if found and not (fits and written.isdisjoint(touched)):
                break
            self._waiting.popleft()
            if not wish.done.done():  # its caller has gone
                found.append(wish)
                written.update(op.key for op in wish.ops)
        return found

    async def _write(self, batch: Sequence[_Wish]) -> None:
        """All at once; when a check does not hold, those whose it is on their own and the others again."""
        checks = dict.fromkeys(check for wish in batch for check in wish.checks)
        try:
            result = await self._store.txn(tuple(checks), [op for wish in batch for op in wish.ops])
        except StoreError as error:
            for wish in batch:
                wish.failed(error)
            return
        if result.ok or len(batch) == 1:
            for wish in batch:
                wish.judged(result)
            return
        failed = frozenset(result.failed)
        good = [wish for wish in batch if failed.isdisjoint(check.key for check in wish.checks)]
        for wish in batch:
            if wish not in good or len(good) == len(batch):
                await self._write([wish])
        if 0 < len(good) < len(batch):
            await self._write(good)
