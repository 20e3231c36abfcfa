"""Keeps one Envoy running: adopts the one that is there, starts it, replaces it, drains it."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from artemon.backoff import Backoff
from artemon.daemon.files import write_secret
from artemon.daemon.health import Health
from artemon.errors import ArtemonError
from artemon.log import Log
from proxyd.admin import Admin
from proxyd.adoption import STOP_SECONDS, Adoption, can_hand_over
from proxyd.bootstrap import node_id, trace_environment
from proxyd.launch import (
    MOST_BASE,
    Generation,
    Launch,
    can_restart_hot,
    check_ports,
    common_arguments,
)
from proxyd.metrics import Metrics
from proxyd.process import Process
from proxyd.settings import ProxydSettings

LOG_FILE = "envoy.log"
CONDITION = "envoy"
STEADY_SECONDS = 10.0
EAGER_SECONDS, CALM_SECONDS = 0.1, 2.0
QUIET_SECONDS = 0.5
"""Without a request for this long, nobody sends any more."""
TAKE_OVER_SECONDS = 60.0
"""How long a new Envoy may take until it serves; the old one serves meanwhile."""


class Supervisor:
    """One Envoy, from adoption to the end. It is meant to outlive proxyd, but for `stop`. renews: whether an
    Envoy whose file was exchanged meanwhile is replaced when it is adopted."""

    def __init__(
        self,
        settings: ProxydSettings,
        launch: Launch,
        *,
        name: str,
        binary: Path,
        admin: Admin,
        health: Health,
        log: Log,
        metrics: Metrics,
        renews: bool = False,
    ) -> None:
        self._settings = settings
        self._launch = launch
        self._directory = Path(settings.run_dir)
        self._binary = binary
        self._node = node_id(settings, name)
        self._environment = trace_environment(settings, name)
        self._admin = admin
        self._health = health
        self._log = log
        self._metrics = metrics
        self._renews = renews
        self._process: Process | None = None
        self._parent: Process | None = None
        self._generation = Generation(0)
        self._useful = False
        self._changing = False
        self._hot = can_restart_hot()
        self._outdated = False
        """Whether the Envoy that was adopted is another than we would start."""
        health.expect(CONDITION, "Envoy has not been started")

    @property
    def log_file(self) -> Path:
        """Where Envoy writes; it goes on doing so when proxyd is gone."""
        return self._directory / LOG_FILE

    @property
    def running(self) -> bool:
        """Whether an Envoy runs, as far as we know."""
        return self._process is not None

    @property
    def launch(self) -> Launch:
        """What it runs with, or will be started with."""
        return self._launch

    def use(self, launch: Launch) -> None:
        """What the first Envoy is started with; before `run`."""
        self._launch = launch

    async def run(self) -> None:
        """Keep it running until cancelled; it goes on running then."""
        backoff = Backoff(first=0.1, most=5.0)
        loop = asyncio.get_running_loop()
        self._process = await self._adopt()
        if self._outdated:
            await self._renew()
        while True:
            began = loop.time()
            if self._process is None:
                self._process = self._start(Generation(random.randrange(1, MOST_BASE)))  # noqa: S311
            process = self._process
            if process is not None:
                reason = await process.wait()
                if process is not self._process:
                    continue
                process.close()
                self._process = None
                self._ended(reason)
            self._health.expect(CONDITION, "Envoy is being started")
            if loop.time() - began > STEADY_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311

    async def _renew(self) -> None:
        """An Envoy of an earlier proxyd hands over to one that is started as we would."""
        self._outdated = False
        try:
            await self.change(self._launch)
        except ArtemonError as error:
            self._log.warning("envoy did not hand over", reason=error)
        await self.settle()

    def _ended(self, reason: str) -> None:
        if not self._changing:
            self._log.error("envoy ended", reason=reason)
        if self._parent is None:
            self._generation.forget()
        self._metrics.restarts.inc()

    async def watch(self, on_state: Callable[[str | None], None]) -> None:
        """Ask Envoy for its state, often until it is live; tell whoever asks for readiness."""
        while True:
            state = await self._admin.state() if self.running else None
            if not self._changing:
                on_state(state)
                if state == "LIVE":
                    self._useful = True
                    self._health.meet(CONDITION)
                else:
                    self._health.expect(CONDITION, f"Envoy is {state or 'not answering'}")
            await asyncio.sleep(CALM_SECONDS if self._health.ready else EAGER_SECONDS)

    async def change(self, launch: Launch) -> None:
        """Replace the Envoy that runs by one with other settings, and return when that one serves.

        The new one takes the listening sockets over from the old one, which finishes what it has begun (hot
        restart); where there is no shared memory, the old one drains and ends first. Raises ArtemonError when
        the new one does not come to serve; one with the settings before is started then.
        """
        before, self._launch = self._launch, launch
        parent = self._process
        if parent is None:
            return
        self._changing = True
        try:
            hot = self._hot and await can_hand_over(self._generation, self._admin, self._binary)
            await (self._take_over(parent, before) if hot else self._replace(parent))
        except BaseException:
            self._launch = before
            raise
        finally:
            self._changing = False

    async def _take_over(self, parent: Process, before: Launch) -> None:
        generation = self._generation.next()
        child = self._start(generation)
        if child is None:
            raise ArtemonError("it cannot be started")
        self._process, self._parent = child, parent
        parent.hand_over()
        try:
            await self._live(child, generation.epoch)
        except ArtemonError:
            # The old one has given up its admin interface for the new one, and is of no more use.
            self._launch, self._parent = before, None
            for one in (parent, child):
                await one.stop(STOP_SECONDS)
            parent.close()
            raise
        self._log.info("envoy replaced", pid=child.pid, before=parent.pid)

    async def _replace(self, process: Process) -> None:
        await self._drain()
        await process.stop(STOP_SECONDS)
        await self._live(None, 0)

    async def settle(self) -> None:
        """Return when the old Envoy of a change has ended; another change can be made then."""
        parent = self._parent
        if parent is None:
            return
        try:
            await asyncio.wait_for(parent.wait(), self._settings.drain_seconds + STOP_SECONDS + 2)
        except TimeoutError:
            await parent.stop(STOP_SECONDS)
        self._parent = None
        parent.close()

    async def _live(self, child: Process | None, epoch: int) -> None:
        """Return when the Envoy of `epoch` serves. Raises ArtemonError when it ends or takes too long."""
        deadline = asyncio.get_running_loop().time() + TAKE_OVER_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if await self._admin.state() == "LIVE" and await self._admin.epoch() == epoch:
                return
            if child is not None and not child.running:
                raise ArtemonError("it ended before it served; its log says why")
            await asyncio.sleep(EAGER_SECONDS)
        raise ArtemonError(f"it does not serve after {TAKE_OVER_SECONDS:.0f} s")

    async def stop(self) -> None:
        """Drain: fail health checks, close gracefully, wait, end."""
        process, self._process = self._process, None
        parent, self._parent = self._parent, None
        if process is None:
            return
        await self._drain()
        await self._last_requests()
        for one in filter(None, (process, parent)):
            await one.stop(STOP_SECONDS)
            self._log.info("envoy stopped", pid=one.pid)
            one.close()
        self._generation.forget()

    async def _drain(self) -> None:
        seconds = self._settings.drain_seconds
        if seconds:
            self._log.info("envoy drains", seconds=seconds)
            await self._admin.tell("/healthcheck/fail")
            await self._admin.tell("/drain_listeners?graceful&skip_exit")
            await asyncio.sleep(seconds)

    async def _last_requests(self) -> None:
        """Peers that the news reaches late still send: wait for them, at most as long again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                before, last = 0, await self._admin.requests()
                while last and last != before:
                    await asyncio.sleep(QUIET_SECONDS)
                    before, last = last, await self._admin.requests()

    def give_up(self) -> None:
        """proxyd fails. An Envoy that has ever been live goes on; another is of no use."""
        if self._process is not None and not self._useful:
            self._process.signal(signal.SIGKILL)

    async def _adopt(self) -> Process | None:
        adoption = Adoption(
            binary=self._binary,
            common=self._common,
            node=self._node,
            admin=self._admin,
            log=self._log,
            hot=self._hot,
            renews=self._renews,
        )
        found = await adoption.among(self._directory)
        if found is None:
            return None
        self._useful, self._outdated, self._generation = True, found.outdated, found.generation
        return found.process

    @property
    def _common(self) -> list[str]:
        return common_arguments(self._settings, self._launch, hot=self._hot)

    def _start(self, generation: Generation) -> Process | None:
        launch = self._launch
        try:
            if not generation.epoch:
                check_ports(self._settings)
            for old in list(self._directory.glob("bootstrap-*.json")):
                old.unlink()
            write_secret(self._directory / launch.file, launch.bootstrap.encode())
            process = Process.start(
                self._arguments(generation),
                directory=self._directory,
                output=self.log_file,
                environment={**self._environment, **dict(launch.environment)},
            )
        except (ArtemonError, OSError) as error:
            self._log.error("envoy not started", reason=str(error))
            return None
        self._generation = generation
        self._log.info(
            "envoy started",
            pid=process.pid,
            binary=str(self._binary),
            concurrency=launch.concurrency,
            environment=",".join(name for name, _ in launch.environment) or "-",
            patches=",".join(launch.patches) or "-",
        )
        return process

    def _arguments(self, generation: Generation) -> list[str]:
        return [str(self._binary), *self._common, *(generation.arguments() if self._hot else ())]
