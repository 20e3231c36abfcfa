"""A lease that renews itself and is lost by the local clock, before any server can delete a key of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from artemon.errors import StoreError
from artemon.log import Log
from artemon.store import clock

log = Log("artemon.store")


class RenewedLease:
    """Implements `Lease` over a backend's renew and revoke.

    renew(deadline): whether the lease still lives, by a call that ends before `deadline` (by `clock.now`);
    the backend counts the ttl from a moment after that call was sent. granted: when the grant was sent.
    """

    def __init__(
        self,
        name: str,
        ttl: float,
        *,
        granted: float,
        renew: Callable[[float], Awaitable[bool]],
        revoke: Callable[[], Awaitable[None]],
    ) -> None:
        self.id, self.ttl, self.lost = name, ttl, asyncio.Event()
        self._renew, self._revoke = renew, revoke
        self._until = granted + ttl

    @property
    def alive(self) -> bool:
        """Whether the lease surely lives at this moment, be `lost` set yet or not."""
        return not self.lost.is_set() and clock.now() < self._until

    async def keep(self) -> None:
        """Renew three times per ttl until the lease is lost or this is cancelled."""
        pause = self.ttl / 3
        while self.alive:
            await asyncio.sleep(min(pause, max(0.0, self._until - clock.now())))
            if self.alive:
                pause = self.ttl / 3 if await self._attempt() else min(0.5, self.ttl / 10)
        if not self.lost.is_set():
            log.warning("lease_lost", lease=self.id, ttl=self.ttl)
            self.lost.set()

    async def _attempt(self) -> bool:
        """One renewal. False: not answered, the next attempt should be soon."""
        sent = clock.now()
        limit = min(self._until - sent, max(self.ttl / 3, 1.0))
        try:
            async with asyncio.timeout(limit):
                lives = await self._renew(sent + limit)
        except (StoreError, TimeoutError) as error:
            log.debug("lease_not_renewed", lease=self.id, error=str(error))
            return False
        self._until = max(self._until, sent + self.ttl) if lives else sent
        return True

    async def revoke(self) -> None:
        """Let go at once: the keys are deleted."""
        self.lost.set()
        await self._revoke()
