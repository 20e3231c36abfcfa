"""One run: clients that write, read, watch and lead, while faults drawn by a seed hit the servers."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from history_check import History, Pair, Read, Write
from observe import Observer

from artemon.errors import StoreError, Unavailable
from artemon.store.api import Batch, Check, Put, Snapshot, Store, TxnResult

REGISTERS, ENOUGH = 3, 30
FAULTS = ("kill-leader", "kill-any", "freeze-leader", "freeze-any")
Outcome = Literal["ok", "refused", "never", "unknown"]


class Run:
    """A history of `seconds` under `prefix`. servers: a cluster of either kind (its `leader`, `members`)."""

    def __init__(self, seed: int, prefix: str, stores: list[Store], members: list[Any]) -> None:
        self._random, self._prefix, self._stores = random.Random(seed), prefix, stores
        self._members, self.history, self.faults = members, History(), list[str]()
        self._stop = asyncio.Event()

    async def go(self, seconds: float, leader: Callable[[], Any]) -> History:
        """Do it. What cannot be checked from the history is asserted here."""
        watcher, observer = self._stores[0], Observer(self._stores[0], self._prefix)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(observer.run())
            for number, store in enumerate(self._stores):
                seed = self._random.random()
                for work in (self._write, self._pair, self._lead):
                    tasks.create_task(work(store, f"{number}", random.Random(f"{seed}{work.__name__}")))
            await self._hurt(seconds, leader)
            await self._acknowledged(ENOUGH)
            self._stop.set()
            await self._settled(watcher, observer)
            watching.cancel()
        self._delivered(observer)
        return self.history

    async def _hurt(self, seconds: float, leader: Callable[[], Any]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self._random.uniform(0.2, 0.8))
            fault, pause = self._random.choice(FAULTS), self._random.uniform(0.3, 2.5)
            victim = self._random.choice(self._members)
            if fault.endswith("leader"):
                victim = await asyncio.to_thread(leader)
            self.faults.append(f"{fault} {victim.name} {pause:.1f} s")
            if fault.startswith("kill"):
                victim.kill()
                await asyncio.sleep(pause)
                victim.start(wait=False)
            else:
                victim.signal(signal.SIGSTOP)
                await asyncio.sleep(pause)
                victim.signal(signal.SIGCONT)
            await asyncio.to_thread(leader)

    async def _acknowledged(self, count: int) -> None:
        """Go on until there is something to judge, however slow the machine is."""
        async with asyncio.timeout(90):
            while sum(one.outcome == "ok" for one in self.history.writes) < count:
                await asyncio.sleep(0.1)

    async def _settled(self, store: Store, observer: Observer) -> None:
        """The watch has everything that there is."""
        async with asyncio.timeout(60):
            while True:
                start = time.monotonic()
                try:
                    found = await store.list(self._prefix)
                except StoreError:
                    await asyncio.sleep(0.1)
                    continue
                state = {entry.key: entry.value for entry in found.entries if "/role" not in entry.key}
                seen = {key: value for key, value in observer.state.items() if "/role" not in key}
                end = time.monotonic()
                if state == seen:
                    break
                await asyncio.sleep(0.1)
        for entry in found.entries:
            if "/r" in entry.key and "/role" not in entry.key:
                self.history.reads.append(Read(entry.key, entry.value.decode(), entry.version, start, end))

    async def _attempt(self, act: Awaitable[TxnResult]) -> tuple[Outcome, int]:
        try:
            result = await act
        except Unavailable:
            return "never", 0
        except StoreError:
            return "unknown", 0
        return ("ok", result.position.revision) if result.ok else ("refused", 0)

    async def _write(self, store: Store, name: str, dice: random.Random) -> None:
        """Compare-and-set on registers, each attempt with a value of its own."""
        for number in range(1_000_000):
            if self._stop.is_set():
                return
            key = f"{self._prefix}r{dice.randrange(REGISTERS)}"
            start = time.monotonic()
            try:
                entry = await store.get(key)
            except StoreError:
                await asyncio.sleep(0.05)
                continue
            version, shown = (entry.version, entry.value.decode()) if entry else (0, "")
            self.history.reads.append(Read(key, shown, version, start, time.monotonic()))
            value, start = f"{name}-{number}", time.monotonic()
            outcome, got = await self._attempt(store.put(key, value.encode(), if_version=version))
            end = time.monotonic()
            self.history.writes.append(Write((key,), value, start, end, outcome, got, version))
            await asyncio.sleep(dice.uniform(0, 0.02))

    async def _pair(self, store: Store, name: str, dice: random.Random) -> None:
        """Two keys in one transaction, and reads of both at once."""
        keys = (f"{self._prefix}p-a", f"{self._prefix}p-b")
        for number in range(1_000_000):
            if self._stop.is_set():
                return
            value, start = f"pair-{name}-{number}", time.monotonic()
            ops = [Put(key, value.encode()) for key in keys]
            outcome, got = await self._attempt(store.txn([], ops))
            self.history.writes.append(Write(keys, value, start, time.monotonic(), outcome, got))
            try:
                found = {entry.key: entry for entry in (await store.list(f"{self._prefix}p-")).entries}
            except StoreError:
                continue
            if found:
                one, two = (found[key] for key in keys)
                pair = Pair((one.value.decode(), two.value.decode()), (one.version, two.version))
                self.history.pairs.append(pair)
            await asyncio.sleep(dice.uniform(0, 0.05))

    async def _lead(self, store: Store, name: str, dice: random.Random) -> None:
        """Campaign, and write under the fence while leading; some resign."""
        election = await store.elect(f"{self._prefix}role", name, 2)
        while not self._stop.is_set():
            await asyncio.sleep(dice.uniform(0.01, 0.1))
            if not election.leading.is_set():
                continue
            try:
                fence: Check = election.check()
            except StoreError:
                continue
            put = Put(f"{self._prefix}led", str(fence.created).encode())
            outcome, got = await self._attempt(store.txn([fence], [put]))
            if outcome == "ok":
                self.history.fenced.append((fence.created or 0, got))
            if dice.random() < 0.05:
                await election.resign()
                election = await store.elect(f"{self._prefix}role", name, 2)
        await election.resign()

    def _delivered(self, observer: Observer) -> None:
        """Items of the watch bring both keys of a transaction or none."""
        for item in observer.items:
            if not isinstance(item, Snapshot | Batch):
                continue
            entries = item.entries if isinstance(item, Snapshot) else item.changes
            found = {one.key: one for one in entries if "/p-" in one.key}
            if found:
                assert len(found) == 2, f"half a transaction: {found}"
                one, two = (found[f"{self._prefix}p-{half}"] for half in "ab")
                pair = Pair((one.value.decode(), two.value.decode()), (one.version, two.version))
                self.history.pairs.append(pair)
