"""The plain HTTP endpoint of every daemon: /healthz, /readyz, /metrics."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from artemon.daemon.address import is_ip, split_address
from artemon.daemon.health import Health
from artemon.daemon.supervised import bound
from artemon.errors import ArtemonError


def health_routes(health: Health, metrics: CollectorRegistry) -> list[web.RouteDef]:
    """The three endpoints, for an application of one's own."""

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        return web.json_response(health.report(), status=200 if health.ready else 503)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", scrape)]


@asynccontextmanager
async def serve_http(address: str, routes: Sequence[web.AbstractRouteDef]) -> AsyncIterator[str]:
    """Serves `routes` while the block runs; yields `host:port` as bound. Raises ArtemonError: port in use.

    An empty address serves nothing and yields "".
    """
    if not address:
        yield ""
        return
    app = web.Application(client_max_size=64 * 1024)
    app.add_routes(routes)
    async with serve_app(address, app, shutdown_seconds=2) as bound:
        yield bound


@asynccontextmanager
async def serve_app(
    address: str,
    app: web.Application,
    *,
    tls: ssl.SSLContext | None = None,
    kept: str = "",
    shutdown_seconds: float = 3,
    **runner_options: Any,
) -> AsyncIterator[str]:
    """Serves `app` while the block runs; yields `host:port` as bound. Raises ArtemonError: port in use.

    kept: a name under which systemd keeps the socket while the service is started again; empty: it does not.
    shutdown_seconds: how long requests may end. runner_options: of aiohttp's AppRunner.
    """
    runner = web.AppRunner(app, access_log=None, **runner_options)
    await runner.setup()
    try:
        try:
            site = _site(runner, address, kept, ssl_context=tls, shutdown_timeout=shutdown_seconds)
            await site.start()
        except OSError as error:
            raise ArtemonError(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from error
        bound = runner.addresses[0]
        yield f"{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()


def _site(runner: web.AppRunner, address: str, kept: str, **options: Any) -> web.BaseSite:
    host, port = split_address(address)
    if kept and is_ip(host):
        return web.SockSite(runner, bound(kept, host, port, socket.SOCK_STREAM), **options)
    return web.TCPSite(runner, host, port, **options)
