"""A root, an application, a control plane and an agent for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from meshlet import Agent, Ca, Pilot
from meshlet_net import upstream_app


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
