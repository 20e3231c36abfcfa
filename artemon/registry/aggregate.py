"""All registries of one pilotd beside each other: each fails alone.

What they know of one host is merged by `artemon.snapshot`: ServiceEntries first, then joined workloads, then
registries in the order of their precedence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from artemon.log import Log
from artemon.registry.keep import Deliver, Keep
from artemon.registry.metrics import RegistryMetrics
from artemon.registry.open import Opened


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
        shared: Any = {"log": log, "metrics": metrics, "now": now, "data_dir": data_dir}
        self._keeps = {one.name: Keep(one, deliver, **shared) for one in opened}

    @property
    def waiting(self) -> tuple[str, ...]:
        """Required registries of which nothing is known yet: until then nothing may be served."""
        return tuple(
            name for name, keep in self._keeps.items() if keep.opened.settings.required and not keep.readable
        )

    def status(self) -> list[dict[str, Any]]:
        """The health of each, and the age of its view."""
        return [keep.status() for keep in self._keeps.values()]

    def release(self) -> dict[str, int]:
        """Let all held removals go; how many, by registry."""
        return {name: keep.release() for name, keep in self._keeps.items()}

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, keep in self._keeps.items():
                tasks.create_task(keep.run(), name=f"registry {name}")
