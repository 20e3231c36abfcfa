"""Resolvers that ask us what we ask them: found by a question that nobody else asks (as CoreDNS does)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine

import dns.message
import dns.rdatatype

from artemon.log import Log
from proxyd.dns.resolvers import Address

SECONDS = 60.0
"""Between looks."""
WAIT_SECONDS = 2.0
"""How long a question may take to come back."""
Ask = Callable[[dns.message.Message, str, int], Coroutine[object, object, None]]


class Loops:
    """Which resolvers lead back to us. ask: sends a query to a resolver; what it answers does not count."""

    def __init__(self, upstream: tuple[Address, ...], ask: Ask, log: Log) -> None:
        self._upstream = upstream
        self._ask = ask
        self._log = log
        self._asked: dict[str, asyncio.Event] = {}
        self._circular: frozenset[Address] = frozenset()

    @property
    def straight(self) -> tuple[Address, ...]:
        """The resolvers that may be asked."""
        return tuple(one for one in self._upstream if one not in self._circular)

    def is_ours(self, query: dns.message.Message) -> bool:
        """Whether a query that came in is one that we asked a resolver; it is remembered."""
        name = query.question[0].name.to_text().lower()
        seen = self._asked.get(name) if query.question[0].rdtype == dns.rdatatype.HINFO else None
        if seen is not None:
            seen.set()
        return seen is not None

    async def watch(self) -> None:
        """Look now and again, until cancelled."""
        while True:
            for one in self._upstream:
                self._mark(one, circular=await self._comes_back(one))
            await asyncio.sleep(SECONDS)

    def _mark(self, resolver: Address, *, circular: bool) -> None:
        if circular == (resolver in self._circular):
            return
        self._circular ^= {resolver}
        address = f"{resolver[0]}:{resolver[1]}"
        if circular:
            self._log.error("a resolver asks us what we ask it", address=address, left=len(self.straight))
        else:
            self._log.info("a resolver leads back to us no more", address=address)

    async def _comes_back(self, resolver: Address) -> bool:
        name = f"{secrets.randbits(48)}.{secrets.randbits(48)}."
        seen = self._asked[name] = asyncio.Event()
        try:
            async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(self._ask(dns.message.make_query(name, "HINFO"), *resolver))
                await seen.wait()
                asking.cancel()
        except TimeoutError:
            return False
        finally:
            del self._asked[name]
        return True
