"""The registry in Consul's key-value store."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from artemon.backoff import Backoff
from artemon.errors import StoreError, Unavailable, Unknown
from artemon.log import Log
from artemon.store import clock
from artemon.store.api import Check, Entry, Op, Snapshot, Stale, TxnResult, WatchItem
from artemon.store.base import BaseStore
from artemon.store.consul.agents import Agents
from artemon.store.consul.client import Client, seconds
from artemon.store.consul.deliveries import History, entry_of
from artemon.store.consul.errors import Conflict
from artemon.store.consul.reading import read_prefix
from artemon.store.consul.settings import ConsulSettings, access, endpoints
from artemon.store.consul.transaction import Moved, Operation, Transaction, index_of, still_bound
from artemon.store.consul.tree import entries_of
from artemon.store.consul.watch import Reset, Resumption
from artemon.store.lease import RenewedLease
from artemon.store.limits import check_key, check_prefix, check_ttl, check_txn

log = Log("artemon.store.consul")

SHORTEST = 10.0
"""Seconds of a session at Consul's own settings, at least."""
DOUBLE = 2
"""Consul ends a session after twice its TTL."""


class ConsulStore(BaseStore):
    """Implements `Store`. A lease lasts twice Consul's `session_ttl_min` or more (20 s by default)."""

    def __init__(self, client: Client, settings: ConsulSettings) -> None:
        super().__init__()
        self._client, self._settings = client, settings
        self._history, self._shortest = History(), 0.0

    @classmethod
    async def open(cls, url: str, settings: ConsulSettings) -> ConsulStore:
        """A store for the Consul at `url`, be it up or not. Raises StoreError for wrong settings, and for a
        Consul that answers and may not be used."""
        where = endpoints(url, settings)
        door = await asyncio.to_thread(access, where, settings)
        client = Client(Agents(where.targets, door, timeout=settings.timeout), datacenter=settings.datacenter)
        store = cls(client, settings)
        try:
            async with asyncio.timeout(2.0):
                await client.status.leader()
        except (Unavailable, Unknown, TimeoutError) as error:
            log.warning("consul_not_reached", error=str(error) or "no answer in 2 s")
        except BaseException:
            await client.http.close()
            raise
        return store

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        check_key(key)
        self._work.check()
        answer = await self._client.kv.get(key, consistency="consistent")
        self._history.read(int(answer.value[0]))
        return None if answer.value[1] is None else entry_of(answer.value[1])

    async def list(self, prefix: str) -> Snapshot:
        """See `Store.list`."""
        check_prefix(prefix)
        self._work.check()
        reading = await read_prefix(self._client, self._history, prefix, consistent=True)
        return Snapshot(entries_of(reading.items), reading.position)

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        """See `Store.txn`."""
        check_txn(checks, ops)
        self._work.check()
        deadline = clock.now() + self._settings.timeout
        look = {check.key for check in checks if check.created is not None}
        known: dict[str, Entry | None] = {}
        while True:
            known |= {key: await self.get(key) for key in sorted(look)}
            since = self._history.position
            attempt = Transaction(checks, ops, known, secrets.randbits(32))
            try:
                written = await self._client.transact(attempt.operations)
            except Conflict as conflict:
                try:
                    return TxnResult(False, self._history.position, attempt.refused(conflict))
                except Moved as moved:
                    if clock.now() >= deadline:
                        raise Unavailable(str(moved)) from moved
                    look = moved.keys
            else:
                position = self._history.wrote(index_of(written), since)
                return await self._unbound(TxnResult(True, position), still_bound(ops, written))

    async def _unbound(self, result: TxnResult, rest: Sequence[Operation]) -> TxnResult:
        """`result`, after keys that were bound to a lease are unbound. Raises Unknown."""
        if not rest:
            return result
        try:
            written = await self._client.transact(rest)
        except Conflict:
            return result  # somebody else wrote since
        except StoreError as error:
            raise Unknown(
                f"{rest[0]['Key']}: was written, but is bound to its lease still: {error}"
            ) from error
        return TxnResult(True, self._history.wrote(index_of(written), result.position))

    async def lease(self, ttl: float) -> RenewedLease:
        """See `Store.lease`."""
        check_ttl(ttl)
        self._work.check()
        sent = clock.now()
        session, half = await self._session(max(ttl / DOUBLE, self._shortest))

        async def renew(until: float) -> bool:
            return await self._client.renew_session(session)

        async def revoke() -> None:
            await self.revoke(session)

        lease = RenewedLease(session, half * DOUBLE, granted=sent, renew=renew, revoke=revoke)
        self._work.start(lease.keep(), name=f"lease-{session}")
        return lease

    async def revoke(self, lease: str) -> None:
        """See `Store.revoke`."""
        await self._client.destroy_session(lease)

    async def _session(self, ttl: float) -> tuple[str, float]:
        """A session and its TTL: `ttl`, or the shortest that the agent allows."""
        try:
            return await self._client.create_session(ttl, "artemon"), ttl
        except StoreError as error:
            if "Invalid Session TTL" not in str(error) or ttl == self._shortest:
                raise
            found = re.search(r"between \[(\S+?)=", str(error))
            self._shortest = seconds(found[1]) if found else SHORTEST
            log.warning("leases_are_longer", shortest=self._shortest * DOUBLE, asked=ttl * DOUBLE)
        return await self._client.create_session(self._shortest, "artemon"), self._shortest

    async def watch(self, prefix: str) -> AsyncIterator[WatchItem]:
        """See `Store.watch`."""
        check_prefix(prefix)
        reason, alive, backoff = "start", clock.now(), Backoff(0.05, 2.0)
        while True:
            try:
                first = await read_prefix(self._client, self._history, prefix, consistent=True)
            except StoreError as error:
                self._work.check()
                log.warning("not_listed", prefix=prefix, error=str(error))
                if (silence := clock.now() - alive) >= self._settings.stale_after:
                    yield Stale(silence, str(error))
                await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter
                continue
            yield Snapshot(entries_of(first.items), first.position, reason)
            backoff.reset()
            wait, stale_after = self._settings.bookmark, self._settings.stale_after
            resumption = Resumption(
                self._client, self._history, prefix, first, wait=wait, stale_after=stale_after
            )
            try:
                async with aclosing(resumption.items()) as items:
                    async for item in items:
                        self._work.check()
                        yield item
            except Reset as error:
                reason = "reset"
                log.info("watch_starts_over", prefix=prefix, reason=reason, error=str(error))
            alive = resumption.alive

    async def close(self) -> None:
        """See `Store.close`."""
        if not self._work.closed:
            await self._work.close()
            await self._client.http.close()
