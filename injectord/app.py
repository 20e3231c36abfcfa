"""Composition of injectord."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
from aiohttp import web

from artemon.daemon.address import split_address
from artemon.daemon.http import health_routes, serve_app
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_tls import ssl_server_context
from artemon.daemon.run import Context
from artemon.errors import ArtemonError
from artemon.inject import Injector
from artemon.kube import Client
from artemon.kube.admission import MAX_BODY
from artemon.kube.bundle import BundleKeeper
from artemon.kube.kinds import MUTATING_WEBHOOKS
from artemon.kube.kubeconfig import cluster_access
from artemon.tls import server_context
from injectord.cluster import oldest_version
from injectord.metrics import Counts
from injectord.proxy_configs import ProxyConfigs
from injectord.server import Webhook
from injectord.settings import InjectorSettings

CHECK_SECONDS = 5.0


async def app(settings: InjectorSettings, context: Context) -> None:
    """The mutating webhook that gives pods a proxy."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(_run(settings, context), name="injectord")
        await context.stop.wait()
        running.cancel()


async def _run(settings: InjectorSettings, context: Context) -> None:
    context.health.expect("webhook", "the webhook does not answer yet")
    keeper = await _identity(settings, context)
    async with AsyncExitStack() as stack:
        client = None
        if settings.kubeconfig:
            access = cluster_access(settings.kubeconfig)
            client = await stack.enter_async_context(Client.open(access))
        parts = Parts(settings, context, keeper, client)
        await parts.read()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tls = parts.tls()
        address = await stack.enter_async_context(
            serve_app(settings.listen, parts.application(), tls=tls, kept="webhook")
        )
        context.log.info("serving", address=address)
        tasks.create_task(_watch_oneself(address, context), name="self-check")
        if keeper:
            tasks.create_task(keeper.run(), name="identity")
        if client:
            tasks.create_task(parts.keep_bundle(client), name="bundle")
            tasks.create_task(parts.proxy_configs.run(client), name="proxyconfigs")
        await parts.reloads(tls)


async def _identity(settings: InjectorSettings, context: Context) -> IdentityKeeper | None:
    if not settings.citadeld:
        return None
    context.health.expect("identity", "a certificate from citadeld")
    keeper = IdentityKeeper(settings.identity_options("injectord"), context.log)
    await keeper.start()
    context.health.meet("identity")
    return keeper


class Parts:
    """Everything that makes up one injectord."""

    def __init__(
        self,
        settings: InjectorSettings,
        context: Context,
        keeper: IdentityKeeper | None,
        client: Client | None,
    ) -> None:
        self._settings, self._context = settings, context
        self._keeper, self._client = keeper, client
        self._injector = Injector()
        self.proxy_configs = ProxyConfigs(context.log, context.health)

    def injector(self) -> Injector:
        """As of now."""
        return replace(self._injector, proxy_configs=self.proxy_configs.now)

    async def read(self) -> None:
        """Read configuration and the cluster's version (again). Raises ArtemonError or OSError."""
        version = await oldest_version(self._client, self._context.log) if self._client else ""
        self._injector = await asyncio.to_thread(self._settings.injector, version)
        self._context.log.info(
            "configured", kubernetes=version or "unknown", native=self._injector.config.native
        )

    def application(self) -> web.Application:
        """The HTTPS application."""
        context = self._context
        made = web.Application(client_max_size=MAX_BODY)
        made.add_routes(Webhook(self.injector, Counts(context.metrics), context.log).routes())
        made.add_routes(health_routes(context.health, context.metrics))
        return made

    def tls(self) -> ssl.SSLContext:
        """A certificate of the operator's own, or the identity: the newest for every connection."""
        if self._keeper:
            return ssl_server_context(self._keeper.current, client=ssl.CERT_NONE)
        try:
            return server_context(self._settings.tls_cert, self._settings.tls_key)
        except (OSError, ssl.SSLError) as error:
            files = f"tls_cert {self._settings.tls_cert}, tls_key {self._settings.tls_key}"
            raise ArtemonError(f"the certificate cannot be used ({files}): {error}") from error

    def roots(self) -> bytes:
        """What the API server shall trust."""
        return self._keeper.current().roots_pem if self._keeper else Path(self._settings.tls_ca).read_bytes()

    async def keep_bundle(self, client: Client) -> None:
        """Correct the webhook configuration whenever it or the roots change, until cancelled."""
        bundle = BundleKeeper(
            client, MUTATING_WEBHOOKS, self._settings.webhook, roots=self.roots, log=self._context.log
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bundle.run(), name="webhook-configuration")
            while self._keeper:
                await self._keeper.changed(self._keeper.current())
                await bundle.correct()

    async def reloads(self, tls: ssl.SSLContext) -> None:
        """Read everything again at every SIGHUP, until cancelled; what cannot be read changes nothing."""
        settings, context = self._settings, self._context
        while True:
            await context.reload.wait()
            context.reload.clear()
            try:
                await self.read()
                if not self._keeper:
                    tls.load_cert_chain(settings.tls_cert, settings.tls_key)
            except (ArtemonError, OSError) as error:
                context.log.error("not_reloaded", reason=error)


async def _watch_oneself(address: str, context: Context) -> None:
    """Ready only while the webhook answers as the API server would ask it, until cancelled."""
    host, port = split_address(address)
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"https://[{target}]:{port}/healthz" if ":" in target else f"https://{target}:{port}/healthz"
    timeout = aiohttp.ClientTimeout(total=CHECK_SECONDS)
    while True:
        try:
            connector = aiohttp.TCPConnector(ssl=False, force_close=True)  # it asks itself
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(url) as response,
            ):
                await response.read()
            context.health.meet("webhook")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            context.health.expect("webhook", f"it does not answer at {address}: {error}")
        await asyncio.sleep(CHECK_SECONDS)
