"""Which parts of a prefix changed, found without reading all of it.

Consul says that something under a prefix moved, and not what: the whole of 10,000 workloads is 5 MB. Every
prefix has its own index, though, the newest change below it, and any beginning of a key is a prefix. So the
keys are divided by the letter in which they first differ, the parts that moved are divided again, and what is
small is read. That the parts are of one moment is certain when nothing moved from before to after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar

from artemon.errors import StoreError
from artemon.store.consul.client import Client
from artemon.store.consul.deliveries import History, Part
from artemon.store.consul.keys import Keys, divide
from artemon.store.consul.reading import Listing, list_names, read_one, read_prefix

SMALL = 300
"""Keys that are read rather than divided."""
MOST_QUERIES = 150
AT_ONCE = 12
"""Queries at a time: writes and renewals go through the same connections."""
ATTEMPTS = 3
Found = TypeVar("Found")


class Unclear(StoreError):
    """What moved cannot be told: everything has to be read."""


class Search:
    """What moved after the index `since`. known: the keys that were there then."""

    def __init__(self, client: Client, history: History, known: Keys, since: int) -> None:
        self._client, self._history, self._known, self._since = client, history, known, since
        self._turns, self._left = asyncio.Semaphore(AT_ONCE), MOST_QUERIES

    async def find(self, top: Listing) -> tuple[int, list[Part]]:
        """The parts in which everything lies that moved, as they were at an index. top: what is there now,
        which moved. Raises Unclear; StoreError."""
        for _ in range(ATTEMPTS):
            parts = await self._parts(top)
            after = await list_names(self._client, top.prefix)
            if after.index == top.index:
                return top.index, parts
            if after.index < top.index:
                break
            top = after
        raise Unclear(f"consul: {top.prefix} moves faster than it is read")

    async def _parts(self, top: Listing) -> list[Part]:
        moved, small, alone = [top], list[str](), list[str]()
        while moved:
            large = [one for one in moved if self._is_large(one)]
            small += [one.prefix for one in moved if one not in large]
            below: list[Listing] = []
            for one in large:
                prefixes, key = divide(one.names, self._known.under(one.prefix))
                alone += [key] if key else []
                found = await _all([self._probe(prefix) for prefix in sorted(prefixes)])
                if not key and max((part.index for part in found), default=0) < one.index:
                    raise Unclear(f"consul: {one.prefix} moved, and nothing below it")
                below += [part for part in found if part.index > self._since]
            moved = below
        if 2 * sum(self._known.count(prefix) for prefix in small) > len(self._known):
            raise Unclear("consul: most of it moved")
        return await _all(
            [*(self._read(prefix) for prefix in small), *(self._read_alone(key) for key in alone)]
        )

    def _is_large(self, one: Listing) -> bool:
        return max(self._known.count(one.prefix), len(one.names)) > SMALL

    async def _probe(self, prefix: str) -> Listing:
        self._spend()
        async with self._turns:
            return await list_names(self._client, prefix)

    async def _read(self, prefix: str) -> Part:
        self._spend()
        async with self._turns:
            return Part(prefix, (await read_prefix(self._client, self._history, prefix)).items)

    async def _read_alone(self, key: str) -> Part:
        self._spend()
        async with self._turns:
            return Part(key, await read_one(self._client, key), alone=True)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Unclear(f"consul: more than {MOST_QUERIES} queries to find what moved")


async def _all(work: Sequence[Coroutine[None, None, Found]]) -> list[Found]:
    """What all of them return. Raises what the first that failed raised."""
    try:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(one) for one in work]
    except ExceptionGroup as problems:
        raise problems.exceptions[0] from problems
    return [task.result() for task in started]
