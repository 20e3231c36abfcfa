"""Composition of mixerd."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from artemon.daemon.files import make_private_dir
from artemon.daemon.grpc_server import listening
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_tls import grpc_server_credentials
from artemon.daemon.run import Context
from artemon.errors import ArtemonError
from mixerd.counting import Counting
from mixerd.counts import Counts
from mixerd.desk import Desk
from mixerd.keep import Keep
from mixerd.limits import Limits
from mixerd.pages import Pages
from mixerd.server import OPTIONS, Services
from mixerd.settings import MixerSettings

FILE = "recent.db"


async def app(settings: MixerSettings, context: Context) -> None:
    """Telemetry of the mesh: recent access logs, traces and the graph of calls, off every request's path."""
    if not settings.citadeld:
        raise ArtemonError("mixerd serves mutual TLS only: set citadeld")
    folder = Path(settings.data_dir)
    make_private_dir(folder)
    context.health.expect("identity", "a certificate from citadeld")
    keeper = IdentityKeeper(settings.identity_options("mixerd"), context.log)
    await keeper.start()
    context.health.meet("identity")
    seconds = settings.keep_minutes * 60
    keep = Keep(folder / FILE, rows=settings.keep_rows, seconds=seconds)
    desk = Desk(keep, Counts(seconds=seconds), context.metrics, context.log, pending=settings.pending_rows)
    counting = Counting(Limits(), context.metrics, root=settings.root_namespace, now=time.time)
    services = Services(desk, Pages(desk).answer, counting, trust_domain=settings.trust_domain)
    try:
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(keeper.run()), tasks.create_task(desk.run())]
            credentials = grpc_server_credentials(keeper.current)
            table, address = services.table(), settings.listen
            async with listening(address, table, credentials=credentials, options=OPTIONS) as port:
                context.log.info("serving", address=address, port=port)
                await context.stop.wait()
            for task in work:
                task.cancel()
        await desk.flush()
    finally:
        keep.close()
