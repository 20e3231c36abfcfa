"""Composition of mixerd."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from artemon.daemon.files import make_private_dir
from artemon.daemon.grpc_server import listening
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_tls import grpc_server_credentials
from artemon.daemon.registry import open_registry, silence
from artemon.daemon.run import Context
from artemon.daemon.signers import signers_of
from artemon.errors import ArtemonError
from artemon.model.limit_terms import Terms
from artemon.store.api import Store
from artemon.store.layout import Layout
from artemon.store.schema import guard
from mixerd.checking import Checking
from mixerd.counting import Counting
from mixerd.counts import Counts
from mixerd.desk import Desk
from mixerd.dispatch import Dispatch
from mixerd.handling import Handlers
from mixerd.history import History
from mixerd.keep import Keep
from mixerd.limits import Limits
from mixerd.pages import Pages
from mixerd.rules import Rules
from mixerd.server import OPTIONS, Services
from mixerd.settings import MixerSettings
from mixerd.shares import Shares

FILE, LOGS = "recent.db", "logs"


async def app(settings: MixerSettings, context: Context) -> None:
    """Telemetry of the mesh: recent access logs, traces and the graph of calls, off every request's path."""
    if not settings.citadeld:
        raise ArtemonError("mixerd serves mutual TLS only: set citadeld")
    make_private_dir(Path(settings.data_dir))
    context.health.expect("identity", "a certificate from citadeld")
    keeper = IdentityKeeper(settings.identity_options("mixerd"), context.log)
    await keeper.start()
    context.health.meet("identity")
    async with AsyncExitStack() as stack:
        await Parts(settings, context, keeper).run(stack)


class Parts:
    """Everything that makes up one mixerd."""

    def __init__(self, settings: MixerSettings, context: Context, keeper: IdentityKeeper) -> None:
        self._settings, self._context, self._keeper = settings, context, keeper
        folder, seconds = Path(settings.data_dir), settings.keep_minutes * 60
        self._keep = Keep(folder / FILE, rows=settings.keep_rows, seconds=seconds)
        log, metrics, pending = context.log, context.metrics, settings.pending_rows
        self._desk = Desk(self._keep, Counts(seconds=seconds), metrics, log, pending=pending)
        self._handlers = Handlers(
            folder=folder / LOGS,
            metrics=metrics,
            log=log,
            now=time.time,
            most_bytes=settings.buffer_mb * 1_000_000,
            count=self._count,
        )
        self._dispatch = Dispatch(self._handlers, metrics, log, root=settings.root_namespace)
        self._shares = Shares(
            Limits(),
            now=time.time,
            identity=keeper.current,
            replicas=settings.replicas,
            me=settings.advertise or settings.listen,
        )
        self._history = History(settings.prometheus, time.time)
        self._counting = Counting(self._shares, metrics, root=settings.root_namespace)
        self._rules: Rules | None = None
        self._store: Store | None = None
        self._checking = Checking(
            self._handlers,
            metrics,
            log,
            root=settings.root_namespace,
            now=time.monotonic,
            ready=lambda: self._rules is not None and self._rules.ready,
        )

    async def _count(self, terms: Terms, values: tuple[str, ...], hits: int) -> tuple[bool, float]:
        verdict = await self._shares.hit(terms, values, hits)
        return verdict.allowed, verdict.reset

    async def run(self, stack: AsyncExitStack) -> None:
        """Serve until told to stop."""
        settings, context = self._settings, self._context
        stack.callback(self._keep.close)
        await self._open_rules(stack)
        pages = Pages(self._desk, self._handlers, self._rules, self._history)
        services = Services(
            self._desk,
            self._dispatch,
            pages.answer,
            self._counting,
            self._checking,
            trust_domain=settings.trust_domain,
        )
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(one) for one in self._jobs(tasks)]
            credentials = grpc_server_credentials(self._keeper.current)
            table, address = services.table(), settings.listen
            async with listening(address, table, credentials=credentials, options=OPTIONS) as port:
                context.log.info("serving", address=address, port=port)
                await context.stop.wait()
            for task in work:
                task.cancel()
            await self._handlers.close()
        await self._desk.flush()

    async def _open_rules(self, stack: AsyncExitStack) -> None:
        settings, context = self._settings, self._context
        if not settings.registry:
            return
        store = self._store = await open_registry(settings.registry, settings.mesh, silence(context.health))
        stack.push_async_callback(store.close)
        signers = signers_of(
            required=settings.config_signatures == "required",
            keys_file=settings.config_keys_file,
            mesh=settings.mesh,
            trust_domain=settings.trust_domain,
            roots=lambda: self._keeper.current().roots_pem,
            log=context.log,
        )
        self._rules = Rules(
            store,
            Layout(settings.mesh),
            context,
            root=settings.root_namespace,
            signers=signers,
            data_dir=Path(settings.data_dir),
        )

    def _jobs(self, tasks: asyncio.TaskGroup) -> list[Coroutine[Any, Any, None]]:
        """What runs beside the server."""
        jobs = [self._keeper.run(), self._desk.run()]
        if self._rules is not None and self._store is not None:
            root, silent = Layout(self._settings.mesh).root, silence(self._context.health)
            guarding = guard(self._store, root, silent)
            jobs += [self._rules.run(), self._follow(self._rules, tasks), guarding]
        return jobs

    async def _follow(self, rules: Rules, tasks: asyncio.TaskGroup) -> None:
        """Put rules into force as they change, until cancelled."""
        while True:
            book = await rules.changed()
            await self._handlers.become(book.handlers, tasks)
            self._dispatch.become(book)
            self._checking.become(book)
            rules.in_force()
            self._context.log.info("rules", rules=len(book.rules), handlers=len(book.handlers))
