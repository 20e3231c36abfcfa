"""What monitoring asks of proxyd: readiness, and its metrics merged with Envoy's."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from artemon.daemon.health import Health
from artemon.daemon.http import health_routes
from proxyd.admin import Admin
from proxyd.istio_metrics import IstioMetrics
from proxyd.wellbeing import Wellbeing


def status_routes(
    health: Health, metrics: CollectorRegistry, admin: Admin, istio: IstioMetrics
) -> list[web.RouteDef]:
    """/healthz, /readyz and /metrics as of every daemon; /healthz/ready and /stats/prometheus as Istio's."""

    async def ready(_: web.Request) -> web.Response:
        live = await admin.state() == "LIVE"
        if health.ready and live:
            return web.Response(text="ok\n")
        waiting = health.waiting or {"envoy": "Envoy is not live"}
        text = "".join(f"{condition}: {reason}\n" for condition, reason in waiting.items())
        return web.Response(text=text, status=503)

    async def merged(_: web.Request) -> web.Response:
        own = generate_latest(metrics)
        envoy = await admin.statistics()
        missing = b"" if envoy is not None else b"# Envoy does not answer\n"
        counted = (await asyncio.to_thread(istio.translated, envoy)).encode() if envoy else b""
        return web.Response(body=own + missing + counted, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        *health_routes(health, metrics),
        web.get("/healthz/ready", ready),
        web.get("/stats/prometheus", merged),
    ]


def drain_routes(wellbeing: Wellbeing) -> list[web.RouteDef]:
    """/drain, as hooks of pods call it (`pilot-agent request POST drain`): peers send nothing more here."""

    async def drain(request: web.Request) -> web.Response:
        try:
            near = ip_address(request.remote or "").is_loopback
        except ValueError:
            near = False
        if not near:
            raise web.HTTPForbidden(text="only from within the pod or machine\n")
        wellbeing.drain(True)
        return web.Response(text="OK\n")

    return [web.post("/drain", drain)]
