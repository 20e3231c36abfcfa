"""Keeps the key sets that policies name: fetched again and again, the last good one for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.model.jwks_source import key_source
from artemon.model.request_authentication import JWTRule
from artemon.model.resource import Resource
from artemon.snapshot.changes import Change, Delete, KeySet, Upsert
from pilotd.keysets.saved import SavedKeys

Fetch = Callable[[str, float], Awaitable[str]]
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
LONGEST = 5.0


@dataclass(slots=True)
class _Source:
    """timeout: of a fetch. due: when to fetch next. failures: since the last good fetch."""

    timeout: float
    due: float = 0.0
    failures: int = 0


class KeyKeeper:
    """wall: seconds since the epoch, which outlive the process. refresh: seconds between fetches. keep:
    seconds that a key set counts after it was fetched last. take_in: tells the world."""

    def __init__(
        self,
        fetch: Fetch,
        take_in: Callable[[list[Change]], None],
        *,
        saved: SavedKeys,
        wall: Callable[[], float],
        log: Log,
        refresh: float,
        keep: float,
    ) -> None:
        self._fetch, self._take_in, self._saved = fetch, take_in, saved
        self._wall, self._log, self._refresh, self._keep = wall, log, refresh, keep
        self._sources: dict[str, _Source] = {}
        self._held: dict[str, tuple[str, float]] = {}
        self._news = asyncio.Event()

    def load(self) -> None:
        """Take up what an earlier process has left, as far as it still counts."""
        now = self._wall()
        for source, text, at in self._saved.load():
            if 0 <= now - at < self._keep:
                self._held[source] = (text, at)
        self._take_in([_upsert(source, text) for source, (text, _) in self._held.items()])

    def want(self, policies: Iterable[Resource[Any]]) -> None:
        """Keep the key sets that these policies name, and no others."""
        rules = [rule for one in policies for rule in one.spec.jwt_rules if not rule.jwks]
        wanted = {key_source(rule): _timeout(rule) for rule in rules if key_source(rule)}
        for source in self._sources.keys() - wanted.keys():
            del self._sources[source]
        for source, timeout in wanted.items():
            self._sources.setdefault(source, _Source(timeout)).timeout = timeout
        self._news.set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        while True:
            self._news.clear()
            now = self._wall()
            due = [source for source, one in self._sources.items() if one.due <= now]
            async with asyncio.TaskGroup() as tasks:
                for source in due:
                    tasks.create_task(self._renew(source))
            self._forget()
            await self._sleep()

    async def _sleep(self) -> None:
        now = self._wall()
        times = [one.due for one in self._sources.values()]
        times += [at + self._keep for _, at in self._held.values()]
        try:
            async with asyncio.timeout(max(0.05, min(times) - now) if times else None):
                await self._news.wait()
        except TimeoutError:
            return

    async def _renew(self, source: str) -> None:
        one = self._sources[source]
        try:
            text = await self._fetch(source, one.timeout)
        except ArtemonError as error:
            one.failures += 1
            one.due = self._wall() + min(LONGEST_RETRY, FIRST_RETRY * 2 ** (one.failures - 1), self._refresh)
            self._log.warning("jwks_not_fetched", reason=str(error), kept=source in self._held)
            return
        one.failures, one.due = 0, self._wall() + self._refresh
        before = self._held.get(source)
        self._held[source] = (text, self._wall())
        if before is None or before[0] != text:
            self._log.info("jwks_fetched", source=source)
            self._take_in([_upsert(source, text)])
        await asyncio.to_thread(self._saved.save, source, *self._held[source])

    def _forget(self) -> None:
        """What was not fetched for too long, and what nobody names any more."""
        now = self._wall()
        old = [source for source, (_, at) in self._held.items() if now - at >= self._keep]
        for source in old:
            del self._held[source]
            self._saved.forget(source)
            self._log.error("jwks_too_old", source=source, effect="its tokens are refused")
        if old:
            self._take_in([Delete(_key(source)) for source in old])


def _timeout(rule: JWTRule) -> float:
    return rule.timeout.seconds if rule.timeout else LONGEST


def _key(source: str) -> str:
    return f"keysets/{source}"


def _upsert(source: str, text: str) -> Upsert:
    return Upsert(_key(source), KeySet(source, text))
