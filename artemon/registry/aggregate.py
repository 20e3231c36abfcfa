"""All registries of one pilotd beside each other: each fails alone.

What they know of one host is merged by `artemon.snapshot`: ServiceEntries first, then joined workloads, then
registries in the order of their precedence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from artemon.log import Log
from artemon.registry.keep import Deliver, Keep
from artemon.registry.metrics import RegistryMetrics
from artemon.registry.open import Opened

AWAITED_SECONDS = 30.0
"""How long the first view of a registry that another one tells of is waited for (Istio's
PILOT_REMOTE_CLUSTER_TIMEOUT)."""


class Registries:
    """Runs them all. deliver: takes changes of the world, also empty ones: then a registry has become ready.
    data_dir: where their views are saved; None keeps nothing."""

    def __init__(
        self,
        opened: Sequence[Opened],
        deliver: Deliver,
        *,
        log: Log,
        registry: CollectorRegistry,
        now: Callable[[], float],
        data_dir: Path | None,
    ) -> None:
        metrics = RegistryMetrics(registry)
        self._log = log
        shared: Any = {"log": log, "metrics": metrics, "now": now, "data_dir": data_dir}
        self._deliver = deliver
        self._keep: Callable[[Opened], Keep] = lambda one: Keep(one, deliver, **shared)
        self._keeps = {one.name: self._keep(one) for one in opened}
        self._untold: set[str] = set()
        """Registries that have not told of further ones yet."""
        self._awaited: set[str] = set()

    @property
    def waiting(self) -> tuple[str, ...]:
        """Required registries of which nothing is known yet: until then nothing may be served."""
        unread = (
            name
            for name, keep in self._keeps.items()
            if (keep.opened.settings.required or name in self._awaited) and not keep.readable
        )
        return (*unread, *(f"what {name} tells of" for name in sorted(self._untold)))

    def status(self) -> list[dict[str, Any]]:
        """The health of each, and the age of its view."""
        return [keep.status() for keep in self._keeps.values()]

    def release(self) -> dict[str, int]:
        """Let all held removals go; how many, by registry."""
        return {name: keep.release() for name, keep in self._keeps.items()}

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, keep in list(self._keeps.items()):
                tasks.create_task(keep.run(), name=f"registry {name}")
                further = keep.opened.remotes(partial(self._say, name))
                if further is not None:
                    self._untold.add(name)
                    tasks.create_task(self._follow(name, further, tasks), name=f"remotes of {name}")

    def _say(self, name: str, reason: str) -> None:
        self._log.warning("remote_clusters", registry=name, reason=reason)

    async def _follow(
        self, name: str, further: AsyncIterator[tuple[Opened, ...]], tasks: asyncio.TaskGroup
    ) -> None:
        """Run the registries that one of them tells of. Those of the first time are waited for, but not for
        ever: one that cannot be reached must not keep the others from being served."""
        running: dict[str, asyncio.Task[None]] = {}
        async for found in further:
            given = {one.name: one for one in found}
            for gone in running.keys() - given.keys():
                running.pop(gone).cancel()
                self._keeps.pop(gone).forget()
                self._log.info("registry_removed", registry=gone, by=name)
            for other, opened in given.items():
                keep = self._keeps.get(other)
                if other not in running and keep is not None:
                    self._say(
                        name, f"{opened.address.partition('#')[0]}: there is a registry {other} already"
                    )
                    continue
                if keep is not None:
                    if keep.opened.address == opened.address:
                        continue
                    running[other].cancel()  # what it told stays until it is read by the new words
                    keep.opened = opened
                else:
                    keep = self._keeps[other] = self._keep(opened)
                self._log.info("registry_added", registry=other, by=name)
                running[other] = tasks.create_task(keep.run(), name=f"registry {other}")
            if name in self._untold:
                self._untold.discard(name)
                self._awaited |= running.keys()
                tasks.create_task(self._give_up(set(running)), name=f"first views of what {name} tells of")
            self._deliver([])

    async def _give_up(self, names: set[str]) -> None:
        await asyncio.sleep(AWAITED_SECONDS)
        self._awaited -= names
        self._deliver([])
