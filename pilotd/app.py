"""What pilotd is made of, and how it starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from artemon.daemon.files import make_private_dir
from artemon.daemon.health import Health
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_tls import grpc_server_credentials
from artemon.daemon.registry import open_registry, silence
from artemon.daemon.run import Context
from artemon.daemon.signers import Signers, signers_of
from artemon.daemon.trust import TrustFollower, trust_signers
from artemon.registry.open import open_registries
from artemon.store import clock
from artemon.store.api import Store
from artemon.store.layout import Layout
from artemon.store.schema import guard
from pilotd.collector import Collector
from pilotd.debug import serve_pages
from pilotd.discovery import Discovery, Keys, Options
from pilotd.fleet import Limits
from pilotd.server import listening
from pilotd.settings import PilotdSettings


async def app(settings: PilotdSettings, context: Context) -> None:
    """Discovery: reads the registry and steers the proxies over xDS."""
    make_private_dir(Path(settings.data_dir))
    keeper = IdentityKeeper(settings.identity_options("pilotd"), context.log)
    context.health.expect("identity", "there is no certificate yet")
    context.health.expect("registry", "the registry has not been opened yet")
    if not await _before_stop(keeper.start(), context.stop):
        return
    context.health.meet("identity")
    store = await open_registry(settings.registry, settings.mesh, silence(context.health))
    discovery = Discovery(
        store,
        _options(settings, context),
        log=context.log,
        registry=context.metrics,
        signers=_signers(settings, keeper, context),
        trust=_trust_signers(settings, keeper, context),
    )
    try:
        guarding = guard(store, Layout(settings.mesh).root, silence(context.health))
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(_settle_memory(context.health, discovery), name="memory"),
                tasks.create_task(keeper.run(), name="identity"),
                tasks.create_task(
                    _trust(settings, store, keeper, context, discovery.ingest.roots_changed).run(),
                    name="trust",
                ),
                tasks.create_task(discovery.run(context.health), name="discovery"),
                tasks.create_task(guarding, name="schema"),
            ]
            await _serve(settings, context, discovery, keeper)
            for task in work:
                task.cancel()
    finally:
        await store.close()


def _signers(settings: PilotdSettings, keeper: IdentityKeeper, context: Context) -> Signers | None:
    return signers_of(
        required=settings.config_signatures == "required",
        keys_file=settings.config_keys_file,
        mesh=settings.mesh,
        trust_domain=settings.trust_domain,
        roots=lambda: keeper.current().roots_pem,
        log=context.log,
    )


def _trust_signers(settings: PilotdSettings, keeper: IdentityKeeper, context: Context) -> Signers | None:
    if settings.trust_signatures == "off":
        context.log.warning("trust_is_not_checked", setting="trust_signatures")
        return None
    return trust_signers(settings.mesh, settings.trust_domain, keeper, context.log)


def _trust(
    settings: PilotdSettings,
    store: Store,
    keeper: IdentityKeeper,
    context: Context,
    adopted: Callable[[], None],
) -> TrustFollower:
    return TrustFollower(
        store,
        Layout(settings.mesh),
        keeper,
        signers=_trust_signers(settings, keeper, context),
        log=context.log,
        forged=lambda reason: context.health.degrade("trust", reason),
        adopted=adopted,
    )


async def _serve(
    settings: PilotdSettings, context: Context, discovery: Discovery, keeper: IdentityKeeper
) -> None:
    credentials, page = grpc_server_credentials(keeper.current), discovery.pages.page
    async with (
        serve_pages(settings.socket, page),
        listening(settings.listen, discovery.serving, page, credentials=credentials) as port,
        AsyncExitStack() as stack,
    ):
        if settings.plaintext_listen:
            anybody = replace(discovery.serving, require_identity=False)
            address = settings.plaintext_listen
            await stack.enter_async_context(listening(address, anybody, page, credentials=None))
            context.log.warning("serving_xds_without_tls", address=address)
        context.log.info("serving_xds", address=settings.listen, port=port)
        await context.stop.wait()
        context.log.info("stopping", streams=len(discovery.fleet.clients))
        discovery.records.close()


async def _settle_memory(health: Health, discovery: Discovery) -> None:
    """Once everything has been read, and then when there is time."""
    await health.wait_ready()
    await Collector(discovery.publisher.quiet, now=clock.now).run()


def _options(settings: PilotdSettings, context: Context) -> Options:
    return Options(
        pilot=context.node,
        mesh=settings.mesh,
        domain=settings.domain,
        trust_domain=settings.trust_domain,
        data_dir=Path(settings.data_dir),
        lease_ttl=settings.lease_ttl,
        secrets_key_file=settings.secrets_key_file,
        registries=open_registries(settings.registries),
        keys=Keys(
            settings.jwks_refresh, settings.jwks_keep, tuple(filter(None, settings.jwks_allow.split(",")))
        ),
        limits=Limits(
            settings.streams_per_node, settings.streams_per_grpc_node, settings.streams_per_identity
        ),
    )


async def _before_stop(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Whether `work` was done before the daemon was told to stop; it is cancelled then."""
    async with asyncio.TaskGroup() as tasks:
        done = tasks.create_task(work)
        stopped = tasks.create_task(stop.wait())
        await asyncio.wait([done, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        return not done.cancel()
