"""One watch of etcd that outlives its streams."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

from artemon.api.v1 import etcd_pb2 as pb
from artemon.backoff import Backoff
from artemon.errors import StoreError, Unavailable
from artemon.log import Log
from artemon.store import clock
from artemon.store.api import Batch, Bookmark, Snapshot, Stale
from artemon.store.etcd.client import Client, Compacted, NotAuthenticated, translate
from artemon.store.etcd.deliveries import Deliveries
from artemon.store.etcd.member import RANGE, Member
from artemon.store.etcd.settings import EtcdSettings
from artemon.store.limits import end_of

log = Log("artemon.store.etcd")

PAGE = 500
"""Keys that are compared at once: news wait no longer than for so many."""


class Reset(StoreError):
    """The store was wiped, restored or replaced."""


class Diverged(StoreError):
    """A watch lost an event, or told it in a wrong order."""


class Resumption:
    """The changes under `prefix` after `snapshot`, without loss or repetition, over any number of streams.

    alive: when the registry last gave proof of life to this watch.
    """

    def __init__(self, client: Client, prefix: str, snapshot: Snapshot, settings: EtcdSettings) -> None:
        self._client, self._prefix, self._settings = client, prefix, settings
        self._deliveries = Deliveries(snapshot)
        self.alive = clock.now()
        self._compare_at, self._seen = self.alive + settings.compare, 0

    async def items(self) -> AsyncGenerator[Batch | Bookmark | Stale]:
        """Endless. Raises Compacted, Reset and Diverged: the state must be listed anew."""
        backoff = Backoff(0.05, 2.0)
        while True:
            member = self._client.member
            reason = ""
            try:
                async with aclosing(self._stream(member)) as stream:
                    async for item in stream:
                        self.alive = clock.now()
                        backoff.reset()
                        yield item
            except (Compacted, Reset, Diverged):
                raise
            except StoreError as error:
                reason = str(error)
                await self._failed(member, error)
            if (silence := clock.now() - self.alive) >= self._settings.stale_after:
                yield Stale(silence, reason)
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter

    async def _failed(self, member: Member, error: StoreError) -> None:
        log.info("watch_interrupted", prefix=self._prefix, member=member.target, error=str(error))
        if isinstance(error, NotAuthenticated):
            try:
                await self._client.renew_token(member)
            except StoreError as refused:
                log.warning("not_authenticated", member=member.target, error=str(refused))
        self._client.leave(member)

    async def _stream(self, member: Member) -> AsyncGenerator[Batch | Bookmark]:
        """One stream, until it ends. Raises StoreError."""
        await self._client.ready(member)
        self._deliveries.restart()
        idle = min(self._settings.bookmark, self._settings.compare)
        call = member.watch(metadata=self._client.metadata)
        comparing: asyncio.Future[None] | None = None
        try:
            await call.write(pb.WatchRequest(create_request=self._request()))
            async with aclosing(_answers(call, self._client.timeout, idle)) as answers:
                async for answer in answers:
                    if answer is None:
                        await self._probe(member)
                        yield Bookmark(self._deliveries.position)
                    elif (item := await self._received(member, answer)) is not None:
                        yield item
                    if comparing is not None and comparing.done():
                        await comparing
                        comparing = None
                    if comparing is None and clock.now() >= self._compare_at:
                        comparing = asyncio.ensure_future(self._compare(member))
        except grpc.aio.AioRpcError as error:
            raise translate(error, member.target, safe=True) from error
        except asyncio.InvalidStateError as error:
            raise Unavailable(f"etcd {member.target}: the stream is closed") from error
        finally:
            call.cancel()
            if comparing is not None:
                comparing.cancel()
                await asyncio.wait([comparing])

    def _request(self) -> Any:
        return pb.WatchCreateRequest(
            key=self._prefix.encode() or b"\0",
            range_end=end_of(self._prefix).encode(),
            start_revision=self._deliveries.next,
            progress_notify=True,
            fragment=True,
        )

    async def _received(self, member: Member, answer: Any) -> Batch | Bookmark | None:
        if answer.created and not answer.canceled:
            await self._probe(member)
            await self._recall(member)
            return Bookmark(self._deliveries.position)
        item = self._deliveries.receive(answer)
        if isinstance(item, Batch):
            self._client.history.delivered(item.position.epoch, item.position.revision)
        return item

    async def _probe(self, member: Member) -> None:
        """A linearizable read over the stream's own connection: proves that both live, and tells a store that
        was reset from a member that lags behind."""
        await self._read(member, count_only=True)

    async def _compare(self, member: Member) -> None:
        """What was delivered must be what etcd held: servers have lost events of watches (etcd issues 15220
        and 18089), and nothing else would tell. What was current at the last comparison has come since. The
        stream goes on meanwhile: what it tells is newer than what is compared."""
        self._compare_at = clock.now() + self._settings.compare
        revision = max(self._deliveries.position.revision, self._seen)
        told, after = self._deliveries.told(), b""
        try:
            while True:
                answer = await self._read(member, after, revision=revision, keys_only=True, limit=PAGE)
                self._seen = answer.header.revision
                wrong = told.differing(answer.kvs, last=not answer.more)
                if wrong is not None:
                    raise Diverged(f"etcd {member.target}: the watch did not tell all, as of {wrong}")
                if not answer.more:
                    break
                after = answer.kvs[-1].key + b"\0"
        except Compacted:  # nothing happened here for long
            self._seen = (await self._read(member, count_only=True)).header.revision
            return
        self._deliveries.reached(revision)

    async def _read(self, member: Member, after: bytes = b"", **how: Any) -> Any:
        """A linearizable read of the prefix. Raises Reset where it is that of another store."""
        end = end_of(self._prefix).encode()
        request = pb.RangeRequest(key=after or self._prefix.encode() or b"\0", range_end=end, **how)
        answer = await self._client.call(RANGE, request, member=member)
        if self._client.history.epoch != self._deliveries.epoch:
            raise Reset(f"etcd: the store is another one, or was reset ({self._client.history.epoch})")
        return answer

    async def _recall(self, member: Member) -> None:
        """The history must have what we saw of it at our position: a store that was wiped and written again
        may have the same id, and be ahead of us."""
        deliveries = self._deliveries
        if deliveries.witness is None:
            return
        key, version = deliveries.witness
        request = pb.RangeRequest(key=key.encode(), revision=deliveries.position.revision, keys_only=True)
        try:
            answer = await self._client.call(RANGE, request, member=member)
        except Compacted:
            return  # the watch itself will say so
        if (answer.kvs[0].mod_revision if answer.kvs else 0) != version:
            self._client.history.replaced()
            raise Reset(f"etcd: {key} was never what it is said to have been; the store is another one")


async def _answers(call: Any, first: float, idle: float) -> AsyncGenerator[Any]:
    """The stream's answers; None whenever `idle` seconds pass without one. The first must come within `first`
    seconds. A read is never cancelled half-way: that would end the stream."""
    limit, started = first, False
    reading: asyncio.Future[Any] | None = None
    try:
        while True:
            reading = reading or asyncio.ensure_future(call.read())
            await asyncio.wait([reading], timeout=limit)
            if not reading.done():
                if not started:
                    raise Unavailable("etcd: the watch was not answered")
                yield None
                continue
            answer, reading = reading.result(), None
            if not isinstance(answer, pb.WatchResponse):
                raise Unavailable("etcd: the server ended the watch")
            limit, started = idle, True
            yield answer
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
