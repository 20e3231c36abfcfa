"""proxyd with a real Envoy: what pilotd says, Envoy does; what nobody says, stays."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from meshlet import Accepted, Agent, Ca, Pilot, Rejected, eventually, fetch, upstream_app
from worlds import cluster, world

from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def ca() -> Ca:
    return Ca()


@pytest.fixture
def app() -> Iterator[int]:
    with upstream_app("hello") as port:
        yield port


@pytest.fixture
async def pilot(ca: Ca) -> AsyncIterator[Pilot]:
    pilot = Pilot(ca)
    await pilot.start()
    yield pilot
    await pilot.stop()


@pytest.fixture
def agent(tmp_path: Path, ca: Ca, pilot: Pilot) -> Iterator[Agent]:
    agent = Agent(tmp_path, ca.identity("bookinfo", "bookinfo-reviews"), [pilot.address])
    yield agent
    agent.clean()


async def test_envoy_serves_what_pilotd_says(agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    assert await fetch(f"http://{agent.ip}:8080/") == (200, "hello")
    assert pilot.nodes[0].id == f"sidecar~{agent.ip}~reviews-1.bookinfo~bookinfo.svc.cluster.local"
    for url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES):
        await pilot.until(Accepted, type_url=url)
    assert agent.stop() == 0
    assert agent.envoys() == []
