"""The registry in etcd v3."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import grpc.aio

from artemon.api.v1 import etcd_pb2 as pb
from artemon.backoff import Backoff
from artemon.errors import LeaseGone, StoreError, Unavailable
from artemon.log import Log
from artemon.store import clock
from artemon.store.api import (
    Check,
    Entry,
    Op,
    Position,
    Put,
    Snapshot,
    Stale,
    TxnResult,
    WatchItem,
)
from artemon.store.base import BaseStore
from artemon.store.etcd.client import Client, Compacted, translate
from artemon.store.etcd.deliveries import entry_of
from artemon.store.etcd.member import GRANT, RANGE, REVOKE, TXN, Member
from artemon.store.etcd.settings import EtcdSettings, access, endpoints
from artemon.store.etcd.watch import Diverged, Reset, Resumption
from artemon.store.lease import RenewedLease
from artemon.store.limits import check_key, check_prefix, check_ttl, check_txn, end_of

log = Log("artemon.store.etcd")

LIST_TIMEOUT = 30.0
"""Seconds that listing may take, all pages together."""
REASONS: dict[type[StoreError], str] = {Compacted: "compacted", Reset: "reset", Diverged: "diverged"}
"""Why a watch starts over."""


class EtcdStore(BaseStore):
    """Implements `Store`."""

    def __init__(self, client: Client, settings: EtcdSettings) -> None:
        super().__init__()
        self._client, self._settings = client, settings

    @classmethod
    async def open(cls, url: str, settings: EtcdSettings) -> EtcdStore:
        """A store for the cluster at `url`, be it up or not. Raises StoreError for wrong settings, and for a
        cluster that answers and may not be used."""
        where = endpoints(url, settings)
        door = await asyncio.to_thread(access, where, settings)
        members = [Member(target, door.credentials, keepalive=settings.keepalive) for target in where.targets]
        client = Client(members, user=door.user, password=door.password, timeout=settings.timeout)
        try:
            await client.call(RANGE, pb.RangeRequest(key=b"\0", count_only=True), timeout=2.0)
        except Unavailable as error:
            log.warning("etcd_not_reached", error=str(error))
        except StoreError as error:
            # A user that may read only the mesh's keys is refused here, which shows that it is known.
            if "permission denied" not in str(error):
                await client.close()
                raise
        return cls(client, settings)

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        check_key(key)
        self._work.check()
        answer = await self._client.call(RANGE, pb.RangeRequest(key=key.encode()))
        return entry_of(answer.kvs[0]) if answer.kvs else None

    async def list(self, prefix: str) -> Snapshot:
        """See `Store.list`."""
        check_prefix(prefix)
        self._work.check()
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                while True:
                    try:
                        return await self._pages(prefix)
                    except Compacted:
                        log.info("listing_starts_over", prefix=prefix)
        except TimeoutError as error:
            raise Unavailable(f"etcd: listing {prefix!r} took over {LIST_TIMEOUT:g} s") from error

    async def _pages(self, prefix: str) -> Snapshot:
        """All pages at the revision of the first. Raises Compacted when history overtakes it."""
        key, revision, found, epoch = prefix.encode() or b"\0", 0, list[Entry](), ""
        while True:
            request = pb.RangeRequest(
                key=key, range_end=end_of(prefix).encode(), limit=self._settings.page, revision=revision
            )
            answer = await self._client.call(RANGE, request)
            if revision and self._client.history.epoch != epoch:
                raise Compacted("etcd: the store was reset while it was listed")
            revision, epoch = revision or answer.header.revision, self._client.history.epoch
            found += map(entry_of, answer.kvs)
            if not answer.more:
                return Snapshot(tuple(found), Position(epoch, revision))
            key = answer.kvs[-1].key + b"\0"

    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        """See `Store.txn`."""
        check_txn(checks, ops)
        self._work.check()
        request = pb.TxnRequest(
            compare=[compare for check in checks for compare in _compares(check)],
            success=[_operation(op) for op in ops],
            failure=[_look(check) for check in checks],
        )
        answer = await self._client.call(TXN, request)
        position = Position(self._client.history.epoch, answer.header.revision)
        if answer.succeeded:
            return TxnResult(True, position)
        looks = [reply.response_range.kvs for reply in answer.responses]
        failed = [check.key for check, kvs in zip(checks, looks, strict=True) if not _holds(check, kvs)]
        return TxnResult(False, position, tuple(failed))

    async def lease(self, ttl: float) -> RenewedLease:
        """See `Store.lease`."""
        check_ttl(ttl)
        self._work.check()
        sent = clock.now()
        answer = await self._client.call(GRANT, pb.LeaseGrantRequest(TTL=math.ceil(ttl)))
        number = int(answer.ID)

        async def renew(until: float) -> bool:
            return await self._renew(number, until)

        async def revoke() -> None:
            await self.revoke(f"{number:x}")

        lease = RenewedLease(f"{number:x}", ttl, granted=sent, renew=renew, revoke=revoke)
        self._work.start(lease.keep(), name=f"lease-{lease.id}")
        return lease

    async def revoke(self, lease: str) -> None:
        """See `Store.revoke`."""
        try:
            await self._client.call(REVOKE, pb.LeaseRevokeRequest(ID=int(lease, 16)))
        except LeaseGone:
            log.debug("lease_was_gone", lease=lease)

    async def _renew(self, number: int, until: float) -> bool:
        """One renewal; `until` is when the caller gives up. Raises StoreError."""
        member = self._client.member
        await self._client.ready(member, timeout=max(until - clock.now(), 0.001))
        call = member.keep_alive(metadata=self._client.metadata)
        try:
            await call.write(pb.LeaseKeepAliveRequest(ID=number))
            answer = await call.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            self._client.leave(member)
            if isinstance(error, grpc.aio.AioRpcError):
                raise translate(error, member.target, safe=True) from error
            raise Unavailable(f"etcd {member.target}: the stream is closed") from error
        except asyncio.CancelledError:
            self._client.leave(member)  # it did not answer in time
            raise
        finally:
            call.cancel()
        if not isinstance(answer, pb.LeaseKeepAliveResponse):
            self._client.leave(member)
            raise Unavailable(f"etcd {member.target}: a renewal was not answered")
        return bool(answer.TTL > 0)

    async def watch(self, prefix: str) -> AsyncIterator[WatchItem]:
        """See `Store.watch`."""
        check_prefix(prefix)
        reason, alive, backoff = "start", clock.now(), Backoff(0.05, 2.0)
        while True:
            try:
                found = await self.list(prefix)
            except StoreError as error:
                self._work.check()
                log.warning("not_listed", prefix=prefix, error=str(error))
                if (silence := clock.now() - alive) >= self._settings.stale_after:
                    yield Stale(silence, str(error))
                await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter
                continue
            yield Snapshot(found.entries, found.position, reason)
            backoff.reset()
            resumption = Resumption(self._client, prefix, found, self._settings)
            try:
                async with aclosing(resumption.items()) as items:
                    async for item in items:
                        yield item
            except (Compacted, Reset, Diverged) as error:
                reason = REASONS[type(error)]
                log.info("watch_starts_over", prefix=prefix, reason=reason, error=str(error))
            alive = resumption.alive

    async def close(self) -> None:
        """See `Store.close`."""
        if not self._work.closed:
            await self._work.close()
            await self._client.close()


def _compares(check: Check) -> list[Any]:
    key, found = check.key.encode(), []
    if check.version is not None:
        found.append(pb.Compare(target=pb.Compare.MOD, key=key, mod_revision=check.version))
    if check.created is not None:
        found.append(pb.Compare(target=pb.Compare.CREATE, key=key, create_revision=check.created))
    return found


def _operation(op: Op) -> Any:
    if isinstance(op, Put):
        lease = int(op.lease, 16) if op.lease else 0
        return pb.RequestOp(request_put=pb.PutRequest(key=op.key.encode(), value=op.value, lease=lease))
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=op.key.encode()))


def _look(check: Check) -> Any:
    return pb.RequestOp(request_range=pb.RangeRequest(key=check.key.encode(), keys_only=True))


def _holds(check: Check, kvs: Any) -> bool:
    version, created = (kvs[0].mod_revision, kvs[0].create_revision) if kvs else (0, 0)
    return check.version in (None, version) and check.created in (None, created)
