"""What every backend does alike, over its own `txn`, and every store that stands before another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence

from artemon.store.api import (
    Check,
    Delete,
    Election,
    Entry,
    Lease,
    Op,
    Put,
    Snapshot,
    Store,
    TxnResult,
    WatchItem,
)
from artemon.store.election import Campaign
from artemon.store.limits import check_key, check_ttl
from artemon.store.tasks import Background


class SingleWrites(ABC):
    """The writes of one key that `Store` has, as transactions."""

    @abstractmethod
    async def txn(self, checks: Sequence[Check], ops: Sequence[Op]) -> TxnResult:
        """See `Store.txn`."""

    async def put(
        self, key: str, value: bytes, *, if_version: int | None = None, lease: str = ""
    ) -> TxnResult:
        """See `Store.put`."""
        checks = () if if_version is None else (Check(key, if_version),)
        return await self.txn(checks, (Put(key, value, lease),))

    async def delete(self, key: str, *, if_version: int | None = None) -> TxnResult:
        """See `Store.delete`."""
        checks = () if if_version is None else (Check(key, if_version),)
        return await self.txn(checks, (Delete(key),))


class Forwarding(SingleWrites):
    """A `Store` over another, without its reading and writing. plain: the other."""

    def __init__(self, plain: Store) -> None:
        self.plain = plain

    async def lease(self, ttl: float) -> Lease:
        """See `Store.lease`."""
        return await self.plain.lease(ttl)

    async def revoke(self, lease: str) -> None:
        """See `Store.revoke`."""
        await self.plain.revoke(lease)

    async def elect(self, role: str, identity: str, ttl: float = 10.0) -> Election:
        """See `Store.elect`."""
        return await self.plain.elect(role, identity, ttl)

    async def close(self) -> None:
        """See `Store.close`."""
        await self.plain.close()


class BaseStore(SingleWrites):
    """A `Store`, but for what touches the server."""

    def __init__(self) -> None:
        self._work = Background()

    @abstractmethod
    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""

    @abstractmethod
    async def list(self, prefix: str) -> Snapshot:
        """See `Store.list`."""

    @abstractmethod
    async def lease(self, ttl: float) -> Lease:
        """See `Store.lease`."""

    @abstractmethod
    async def revoke(self, lease: str) -> None:
        """See `Store.revoke`."""

    @abstractmethod
    def watch(self, prefix: str) -> AsyncIterator[WatchItem]:
        """See `Store.watch`."""

    @abstractmethod
    async def close(self) -> None:
        """See `Store.close`."""

    async def elect(self, role: str, identity: str, ttl: float = 10.0) -> Campaign:
        """See `Store.elect`."""
        check_key(role)
        check_ttl(ttl)
        campaign = Campaign(self, role, identity, ttl)
        campaign.started(self._work.start(campaign.run(), name=f"election-{role}"))
        return campaign
