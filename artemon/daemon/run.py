"""How every daemon starts, is told to stop, and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click
import yaml
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from artemon import __version__, log
from artemon.daemon import memory
from artemon.daemon.commands import Lazy
from artemon.daemon.health import Health
from artemon.daemon.http import health_routes, serve_http
from artemon.daemon.settings import Settings, load, options
from artemon.daemon.supervised import notify
from artemon.errors import ArtemonError

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Context:
    """What a daemon's app gets beside its settings.

    stop: set by SIGTERM or SIGINT; the app returns soon after. reload: set by SIGHUP; the app clears it.
    again: set by an app that returns to be started anew in this very process, by what is installed then.
    anew: whether it was.
    """

    name: str
    node: str
    log: log.Log
    health: Health
    metrics: CollectorRegistry
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    again: asyncio.Event = field(default_factory=asyncio.Event)
    anew: bool = False


AGAIN = -1
ANEW = "ARTEMON_ANEW"
"""In the environment of a process that was started anew."""
App = Callable[[S, Context], Awaitable[None]]


def daemon(
    name: str,
    settings: type[S],
    app: App[S],
    *,
    commands: Sequence[click.Command] = (),
    later: Mapping[str, str] | None = None,
) -> click.Group:
    """The command line of a daemon: without a subcommand it runs `app` until it is told to stop. later:
    further commands, and the modules that have them."""

    @click.group(
        name, cls=Lazy, later=later or {}, invoke_without_command=True, help=(app.__doc__ or "").strip()
    )
    @click.option("--config", metavar="FILE", help="YAML file of settings.")
    @click.option("--check-config", is_flag=True, help="Say whether the settings are valid, and exit.")
    @click.option("--print-config", is_flag=True, help="Print the settings in force, and exit.")
    @click.version_option(__version__, prog_name=name)
    @click.pass_context
    def command(
        ctx: click.Context, /, config: str | None, check_config: bool, print_config: bool, **flags: Any
    ) -> None:
        if ctx.invoked_subcommand is None:
            run(name, settings, app, config=config, flags=flags, only=(check_config, print_config))

    options(settings)(command)
    for extra in commands:
        command.add_command(extra)
    return command


def run(
    name: str,
    settings: type[S],
    app: App[S],
    *,
    config: str | None,
    flags: dict[str, Any],
    only: tuple[bool, bool] = (False, False),
) -> None:
    """Load the settings and run; ends the process: 0 stopped, 1 failed, 2 wrong settings."""
    check, show = only
    try:
        loaded = load(settings, name=name, file=config, environ=os.environ, flags=flags)
    except ArtemonError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(2)
    if show:
        click.echo(yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False), nl=False)
    if check or show:
        sys.exit(0)
    log.setup(level=loaded.log_level, form=loaded.log_format)
    memory.few_arenas()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its core writes a raw line for every stray client
    status = asyncio.run(_main(name, loaded, app))
    if status == AGAIN:
        notify("WATCHDOG=1")  # its clock goes on while we load
        os.execve(sys.executable, command_line(), {**os.environ, ANEW: "1"})  # noqa: S606 - ourselves
    sys.exit(status)


def command_line() -> list[str]:
    """How this process was started."""
    return [sys.executable, *sys.orig_argv[1:]]


async def _main(name: str, settings: S, app: App[S]) -> int:
    metrics = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=metrics)
    node = settings.node or socket.gethostname()
    context = Context(
        name=name,
        node=node,
        log=log.Log(name),
        health=Health(),
        metrics=metrics,
        anew=bool(os.environ.pop(ANEW, "")),
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, context.stop.set)
    loop.add_signal_handler(signal.SIGHUP, context.reload.set)
    context.health.expect("started", "the daemon is starting")
    try:
        async with serve_http(settings.http, health_routes(context.health, metrics)) as address:
            context.log.info("starting", version=__version__, node=node, http=address, pid=os.getpid())
            async with asyncio.TaskGroup() as tasks:
                notifier = tasks.create_task(_notify(context))
                context.health.meet("started")
                await app(settings, context)
                notifier.cancel()
    except BaseExceptionGroup as group:
        return _failed(context, _leaves(group))
    except ArtemonError as error:
        return _failed(context, [error])
    context.log.info("stopped", reason="to start anew" if context.again.is_set() else "asked to")
    return AGAIN if context.again.is_set() else 0


def _failed(context: Context, errors: Sequence[BaseException]) -> int:
    for error in errors:
        if isinstance(error, ArtemonError):
            context.log.error("stopped", reason=str(error))
        else:
            trace = "".join(traceback.format_exception(error)[-3:])
            context.log.error("stopped", reason=repr(error), trace=trace)
    return 1


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _notify(context: Context) -> None:
    """Tells systemd when the daemon is ready and from then on that it lives; from the beginning where systemd
    watches already, as it was started anew."""
    async with asyncio.TaskGroup() as tasks:
        if context.anew:
            tasks.create_task(_tell_life())
        await context.health.wait_ready()
        notify("READY=1")
        memory.settle()
        if not context.anew:
            tasks.create_task(_tell_life())


async def _tell_life() -> None:
    """At half the interval that systemd asks for, beginning at once."""
    interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    while interval > 0:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)
