"""Keeps the programs of a plan running: `python -m meshctl.up.supervisor DIR`.

SIGHUP reads the plan again (new programs start, removed ones stop); SIGTERM stops all, newest first. A
supervisor that finds its predecessor's processes still running adopts them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from artemon import log
from artemon.backoff import Backoff
from meshctl.up.processes import (
    Process,
    Program,
    load_processes,
    load_programs,
    save,
    start_time,
    wait_for_end,
)

PLAN, STATE = "plan.json", "state.json"
GRACE = 15.0
"""Seconds that a process gets to stop before it is killed."""
STEADY = 10.0
"""Seconds after which a process counts as running well, and its next restart is immediate."""


class Supervisor:
    """One directory's programs. `running` maps a program's name to its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = log.Log("supervisor")
        self._programs: dict[str, Program] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self.running: dict[str, Process] = {}

    async def run(self) -> None:
        """Until SIGTERM."""
        stop, reload = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, stop.set)
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        loop.add_signal_handler(signal.SIGCHLD, reap)
        self.running = {
            p.name: p for p in load_processes(self._folder / STATE) if p.alive and p.pid != os.getpid()
        }
        self._save()
        async with asyncio.TaskGroup() as tasks:
            self._follow(tasks)
            while not stop.is_set():
                wake = [tasks.create_task(event.wait()) for event in (stop, reload)]
                await asyncio.wait(wake, return_when=asyncio.FIRST_COMPLETED)
                for waiter in wake:
                    waiter.cancel()
                if reload.is_set():
                    reload.clear()
                    self._follow(tasks)
            for watcher in self._watchers.values():
                watcher.cancel()
        await self._stop(list(self.running))

    def _follow(self, tasks: asyncio.TaskGroup) -> None:
        """Make what runs what the plan says."""
        self._programs = {program.name: program for program in load_programs(self._folder / PLAN)}
        for name in self._watchers.keys() - self._programs.keys():
            self._watchers.pop(name).cancel()
            tasks.create_task(self._stop([name]))
        for name in [name for name in self._programs if name not in self._watchers]:
            self._watchers[name] = tasks.create_task(self._keep(name))

    async def _keep(self, name: str) -> None:
        """One program, again and again."""
        backoff = Backoff(first=0.2, most=10)
        while True:
            began = time.monotonic()
            process = self.running.get(name)
            if process is None or not process.alive:
                process = self._start(self._programs[name])
            if process is not None:
                await wait_for_end(process)
                self._log.warning("ended", program=name, pid=process.pid)
            self.running.pop(name, None)
            if time.monotonic() - began > STEADY:
                backoff.reset()
            await asyncio.sleep(backoff.next(random.random()))  # noqa: S311

    def _start(self, program: Program) -> Process | None:
        try:
            with Path(program.log).open("ab") as output:
                child = subprocess.Popen(
                    program.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=program.cwd or self._folder,
                    env={**os.environ, **program.env},
                    start_new_session=True,
                )
        except OSError as error:
            self._log.error("cannot start", program=program.name, reason=str(error))
            return None
        process = Process(program.name, program.role, child.pid, start_time(child.pid))
        self.running[program.name] = process
        self._log.info("started", program=program.name, pid=child.pid)
        self._save()
        return process

    async def _stop(self, names: list[str]) -> None:
        """Gateways and applications first, what they depend on last: the reverse of the plan's order."""
        order = {name: number for number, name in enumerate(self._programs)}
        waves: dict[str, list[Process]] = {}
        for name in sorted(names, key=lambda name: order.get(name, -1), reverse=True):
            if process := self.running.pop(name, None):
                waves.setdefault(process.role, []).append(process)
        for processes in waves.values():
            for process in processes:
                process.signal(signal.SIGTERM)
            await asyncio.gather(*(self._end(process) for process in processes))
        self._save()

    async def _end(self, process: Process) -> None:
        if not await process.ended(GRACE):
            self._log.warning("killed", program=process.name, pid=process.pid)
            process.signal(signal.SIGKILL)
            await process.ended(2)

    def _save(self) -> None:
        me = Process("supervisor", "supervisor", os.getpid(), start_time(os.getpid()))
        save(self._folder / STATE, [me, *self.running.values()])


def reap() -> None:
    """Take the exit status of children that ended; their end itself is seen by pidfd."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


async def _main(folder: Path) -> None:
    await Supervisor(folder).run()


if __name__ == "__main__":
    log.setup()
    asyncio.run(_main(Path(sys.argv[1])))
