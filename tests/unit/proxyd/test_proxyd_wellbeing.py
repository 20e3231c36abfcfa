"""What probes say, what operators want, and what peers are told."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import psutil
import pytest
import yaml
from aiohttp import web
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from artemon.log import Log
from artemon.model.service import Health
from artemon.model.workload_group import ReadinessProbe
from proxyd.probes import ask
from proxyd.settings import ProxydSettings
from proxyd.wellbeing import PROBE, UNIT, Streak, Wellbeing

LOG = Log("test")


@pytest.mark.parametrize(
    ("results", "changes"),
    [
        pytest.param("+", [True], id="first-success"),
        pytest.param("-", [False], id="first-failure"),
        pytest.param("+--", [True], id="two-failures-are-too-few"),
        pytest.param("+---", [True, False], id="three-failures"),
        pytest.param("+--+--", [True], id="not-in-a-row"),
        pytest.param("-+", [False, True], id="back"),
    ],
)
def test_results_in_a_row_change_the_mind(results: str, changes: list[bool]) -> None:
    streak = Streak(1, 3)
    seen = [streak.ready for result in results if streak.saw(result == "+")]
    assert seen == changes


def test_peers_are_told_of_changes_alone_and_draining_counts_for_more() -> None:
    told: list[Health] = []
    one = Wellbeing(told.append, LOG, waits=[PROBE])
    one.said(PROBE, True, "up")
    one.said(PROBE, True, "still up")
    one.drain(True)
    one.said(PROBE, False, "down")
    one.drain(False)
    one.said(PROBE, True, "up")
    assert told == [Health.UNHEALTHY, Health.HEALTHY, Health.DRAINING, Health.UNHEALTHY, Health.HEALTHY]


def test_probe_and_unit_must_both_say_so() -> None:
    told: list[Health] = []
    one = Wellbeing(told.append, LOG, waits=[PROBE, UNIT])
    one.said(UNIT, True, "active")
    assert told == [Health.UNHEALTHY]
    one.said(PROBE, True, "up")
    one.said(UNIT, False, "failed")
    assert told == [Health.UNHEALTHY, Health.HEALTHY, Health.UNHEALTHY]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def application() -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        wanted = request.headers.get("x-token") == "a" and request.path == "/ready"
        return web.Response(status=302 if wanted else 503)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def probe(**fields: Any) -> ReadinessProbe:
    return ReadinessProbe.model_validate(fields)


async def test_http(http: aiohttp.ClientSession, application: int) -> None:
    good = {"path": "/ready", "port": application, "httpHeaders": [{"name": "x-token", "value": "a"}]}
    assert await ask(probe(httpGet=good), http) == ""
    assert await ask(probe(httpGet={"path": "/ready", "port": application}), http) == "HTTP 503"
    assert await ask(probe(httpGet={"port": 1}), http)


async def test_tcp(http: aiohttp.ClientSession, application: int) -> None:
    assert await ask(probe(tcpSocket={"port": application}), http) == ""
    assert "127.0.0.1" in await ask(probe(tcpSocket={"port": 1}), http)


async def test_grpc(http: aiohttp.ClientSession) -> None:
    servicer = health.aio.HealthServicer()
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await servicer.set("cart", health_pb2.HealthCheckResponse.SERVING)
    await servicer.set("old", health_pb2.HealthCheckResponse.NOT_SERVING)
    wait = {"timeoutSeconds": 30}
    assert await ask(probe(grpc={"port": port, "service": "cart"}, **wait), http) == ""
    assert await ask(probe(grpc={"port": port, "service": "old"}, **wait), http) == "NOT_SERVING"
    assert await ask(probe(grpc={"port": port, "service": "none"}, **wait), http)
    await server.stop(0)


async def test_commands_end_in_time_with_all_that_they_started(http: aiohttp.ClientSession) -> None:
    assert await ask(probe(exec={"command": ["true"]}, timeoutSeconds=30), http) == ""
    assert await ask(probe(exec={"command": ["false"]}, timeoutSeconds=30), http) == "exit status 1"
    mark = str(1_000_000 + os.getpid())
    forever = ["sh", "-c", f"sleep {mark} & sleep {mark}"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(probe(exec={"command": forever}, timeoutSeconds=30), http), 0.1)
    end = time.monotonic() + 20
    while any(mark in (one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    assert await ask(probe(exec={"command": ["/no/such/command"]}), http)


def test_a_probe_is_a_setting_that_survives_being_written_down() -> None:
    settings = ProxydSettings.model_validate({"probe": {"httpGet": {"port": 8080, "path": "/"}}})
    text = yaml.safe_dump(settings.model_dump(mode="json", exclude_unset=True))
    assert ProxydSettings.model_validate(yaml.safe_load(text)) == settings
