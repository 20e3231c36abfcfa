"""Keeps one Envoy running: adopts the one that is there, starts it, starts it again, drains it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from artemon.backoff import Backoff
from artemon.daemon.files import write_secret
from artemon.daemon.health import Health
from artemon.errors import ArtemonError
from artemon.log import Log
from proxyd.admin import Admin
from proxyd.bootstrap import Json, node_id, trace_environment
from proxyd.envoylog import LOG_FORMAT
from proxyd.metrics import Metrics
from proxyd.process import Process, running_in
from proxyd.settings import ProxydSettings

LOG_FILE = "envoy.log"
CONDITION = "envoy"
STEADY_SECONDS = 10.0
EAGER_SECONDS, CALM_SECONDS = 0.1, 2.0
STOP_SECONDS = 5.0
ADOPT_TRIES = 20
ADOPT_PAUSE = 0.2


class Supervisor:
    """One Envoy, from adoption to the end. It is meant to outlive proxyd, but for `stop`."""

    def __init__(
        self,
        settings: ProxydSettings,
        bootstrap: Json,
        *,
        name: str,
        binary: Path,
        admin: Admin,
        health: Health,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._bootstrap = json.dumps(bootstrap, indent=1)
        self._directory = Path(settings.run_dir)
        self._binary = binary
        self._node = node_id(settings, name)
        self._environment = trace_environment(settings, name)
        self._admin = admin
        self._health = health
        self._log = log
        self._metrics = metrics
        self._process: Process | None = None
        self._useful = False
        digest = hashlib.sha256(self._bootstrap.encode()).hexdigest()[:16]
        self._file = f"bootstrap-{digest}.json"
        health.expect(CONDITION, "Envoy has not been started")

    @property
    def log_file(self) -> Path:
        """Where Envoy writes; it goes on doing so when proxyd is gone."""
        return self._directory / LOG_FILE

    @property
    def running(self) -> bool:
        """Whether an Envoy runs, as far as we know."""
        return self._process is not None

    def arguments(self) -> tuple[str, ...]:
        """The command line. The bootstrap's digest is in it, so a running Envoy tells what it was given."""
        drain = max(1, round(self._settings.drain_seconds))
        options = {
            "-c": self._file,
            "--concurrency": str(self._settings.concurrency),
            "-l": self._settings.envoy_log_level,
            "--log-format": LOG_FORMAT,
            "--drain-time-s": str(drain),
            "--drain-strategy": "immediate",
        }
        flags = ("--disable-hot-restart", "--skip-deprecated-logs", "--log-format-escaped")
        return (str(self._binary), *(part for pair in options.items() for part in pair), *flags)

    async def run(self) -> None:
        """Keep it running until cancelled; it goes on running then."""
        backoff = Backoff(first=0.1, most=5.0)
        loop = asyncio.get_running_loop()
        self._process = await self._adopt()
        while True:
            began = loop.time()
            if self._process is None:
                self._process = self._start()
            if self._process is not None:
                reason = await self._process.wait()
                self._process.close()
                self._process = None
                self._log.error("envoy ended", reason=reason)
                self._metrics.restarts.inc()
            self._health.expect(CONDITION, "Envoy is being started")
            if loop.time() - began > STEADY_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311

    async def watch(self, on_state: Callable[[str | None], None]) -> None:
        """Ask Envoy for its state, often until it is live; tell whoever asks for readiness."""
        while True:
            state = await self._admin.state() if self.running else None
            on_state(state)
            if state == "LIVE":
                self._useful = True
                self._health.meet(CONDITION)
            else:
                self._health.expect(CONDITION, f"Envoy is {state or 'not answering'}")
            await asyncio.sleep(CALM_SECONDS if self._health.ready else EAGER_SECONDS)

    async def stop(self) -> None:
        """Drain: fail health checks, close gracefully, wait, end."""
        process, self._process = self._process, None
        if process is None:
            return
        seconds = self._settings.drain_seconds
        if seconds:
            self._log.info("envoy drains", seconds=seconds)
            await self._admin.tell("/healthcheck/fail")
            await self._admin.tell("/drain_listeners?graceful")
            await asyncio.sleep(seconds)
        await process.stop(STOP_SECONDS)
        self._log.info("envoy stopped", pid=process.pid)
        process.close()

    def give_up(self) -> None:
        """proxyd fails. An Envoy that has ever been live goes on; another is of no use."""
        if self._process is not None and not self._useful:
            self._process.signal(signal.SIGKILL)

    async def _adopt(self) -> Process | None:
        """The Envoy of an earlier proxyd, if it was started just as we would; any other one is ended."""
        for pid, arguments in running_in(self._directory).items():
            if not any(part.startswith("bootstrap-") for part in arguments):
                continue
            try:
                process = Process(pid)
            except ProcessLookupError:
                continue
            obstacle = await self._obstacle(arguments)
            if not obstacle:
                self._useful = True
                self._log.info("envoy adopted", pid=pid)
                return process
            self._log.warning("envoy not adopted", pid=pid, reason=obstacle)
            await process.stop(STOP_SECONDS)
            process.close()
        return None

    async def _obstacle(self, arguments: tuple[str, ...]) -> str:
        if arguments != self.arguments():
            return "it was started with other settings"
        for _ in range(ADOPT_TRIES):
            if (node := await self._admin.node()) is not None:
                break
            await asyncio.sleep(ADOPT_PAUSE)
        if node != self._node:
            return "its admin does not answer"
        return "it is draining" if await self._admin.state() == "DRAINING" else ""

    def _start(self) -> Process | None:
        for old in self._directory.glob("bootstrap-*.json"):
            old.unlink()
        try:
            self._check_ports()
            write_secret(self._directory / self._file, self._bootstrap.encode())
            process = Process.start(
                self.arguments(),
                directory=self._directory,
                output=self.log_file,
                environment=self._environment,
            )
        except (ArtemonError, OSError) as error:
            self._log.error("envoy not started", reason=str(error))
            return None
        self._log.info("envoy started", pid=process.pid, binary=str(self._binary))
        return process

    def _check_ports(self) -> None:
        own = self._settings
        for address, port in (
            (own.loopback, own.admin_port),
            (own.bind, own.stats_port),
            (own.bind, own.ready_port),
        ):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError as error:
                    raise ArtemonError(f"cannot listen on {address}:{port}: {error.strerror}") from error
