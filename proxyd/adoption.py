"""Which Envoy of an earlier proxyd goes on, and whether it is to hand over to another."""

from __future__ import annotations

import asyncio
import filecmp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from artemon.daemon.envoy import hot_restart_version
from artemon.log import Log
from proxyd.admin import Admin
from proxyd.launch import Generation, parted
from proxyd.process import PROC, Process, running_in

STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Adopted:
    """An Envoy that runs. outdated: it is another than we would start, and is to hand over."""

    process: Process
    generation: Generation
    outdated: bool


@dataclass(frozen=True, slots=True)
class Adoption:
    """binary, common: what we would start, and its arguments but the generation's. hot: whether Envoys can
    hand over here. renews: whether one whose file was exchanged is to hand over, too; it goes on else."""

    binary: Path
    common: Sequence[str]
    node: str
    admin: Admin
    log: Log
    hot: bool
    renews: bool

    async def among(self, directory: Path) -> Adopted | None:
        """The Envoy of an earlier proxyd, if it was started just as we would (of a row of hot restarts the
        last one). One that was started otherwise, by another proxyd or of another binary, is adopted to hand
        over; what can do neither is ended."""
        running = running_in(directory)
        for pid, arguments in sorted(running.items(), key=lambda one: -parted(one[1])[1].epoch):
            if not any(part.startswith("bootstrap-") for part in arguments):
                continue
            try:
                process = Process(pid)
            except ProcessLookupError:
                continue
            if (found := await self._judged(process, arguments)) is not None:
                return found
            await process.stop(STOP_SECONDS)
            process.close()
        return None

    async def _judged(self, process: Process, arguments: Sequence[str]) -> Adopted | None:
        rest, generation = parted(arguments)
        alike = arguments[0] == str(self.binary) and rest == self.common
        obstacle = await self.admin.obstacle(self.node)
        if obstacle:
            self.log.warning("envoy not adopted", pid=process.pid, reason=obstacle)
            return None
        if alike and (not self.renews or await asyncio.to_thread(is_of, process.pid, self.binary)):
            outdated = False
        elif self.hot and await can_hand_over(generation, self.admin, self.binary):
            outdated = True
        elif alike:
            outdated = False
            reason = (
                "the one that is installed cannot take over; a restart of proxyd drains it, and starts that"
            )
            self.log.warning("envoy not replaced", pid=process.pid, reason=reason)
        else:
            reason = "it was started with other settings, and cannot hand over"
            self.log.warning("envoy not adopted", pid=process.pid, reason=reason)
            return None
        self.log.info("envoy adopted", pid=process.pid, outdated=outdated)
        return Adopted(process, generation, outdated)


async def can_hand_over(generation: Generation, admin: Admin, binary: Path) -> bool:
    """Whether the Envoy that runs, the last of these, can hand over to one of `binary`."""
    if not generation.can_hand_over:
        return False
    return await admin.hot_restart_version() == await asyncio.to_thread(hot_restart_version, binary)


def is_of(pid: int, binary: Path) -> bool:
    """Whether a process was started from what `binary` is by now: a package may have exchanged the file. What
    we may not look at counts as the same."""
    try:
        return filecmp.cmp(PROC / str(pid) / "exe", binary, shallow=False)
    except OSError:
        return True
