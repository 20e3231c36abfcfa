"""Another Envoy comes to lie where the one that runs was, as when a package is upgraded, and back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest
from envoy_calls import admin, ask_until
from meshlet import Agent, Pilot
from meshlet_net import eventually, fetch
from servers import find_envoy_before
from worlds import world

from artemon.daemon.envoy import find

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(900)]
LONG = 240.0


def put(envoy: Path, place: Path, *, more: bytes = b"") -> None:
    """As dpkg does: the file has another inode; who runs the one before goes on with that."""
    draft = place.with_suffix(".new")
    shutil.copy(envoy, draft)
    with draft.open("ab") as file:
        file.write(more)
    draft.replace(place)


async def started_from(place: Path, agent: Agent, pilot: Pilot, app: int) -> None:
    """With our Envoy, as a file that can be exchanged."""
    put(find(""), place)
    agent.settings["envoy"] = str(place)
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()


def reload(agent: Agent) -> None:
    assert agent.process
    agent.process.send_signal(signal.SIGHUP)


async def version(agent: Agent) -> str:
    return str((await admin(agent, "/server_info")).get("version", "")).partition("/")[2].partition("/")[0]


async def adopted(agent: Agent, count: int) -> None:
    await eventually(lambda: agent.said("envoy adopted") >= count, "adopted", seconds=LONG)
    await agent.ready()


async def test_one_of_the_version_before_takes_over_and_hands_back_and_no_request_is_lost(
    agent: Agent, pilot: Pilot, app: int, tmp_path: Path
) -> None:
    before = find_envoy_before()
    if before is None:
        pytest.skip("no Envoy of the version before: .ci/run obtains it, or set ARTEMON_ENVOY_BEFORE")
    place = tmp_path / "envoy"
    await started_from(place, agent, pilot, app)
    versions = [await version(agent)]
    done = asyncio.Event()
    load = asyncio.ensure_future(ask_until(agent, done))
    for number, binary in enumerate((before, find(""))):
        put(binary, place)
        runs = agent.envoys()
        agent.kill()
        agent.start()
        await adopted(agent, 2 * number + 1)
        assert agent.envoys() == runs, "a proxyd that is exchanged lets Envoy be"
        reload(agent)
        await adopted(agent, 2 * number + 2)
        await eventually(lambda ran=runs: not {*ran} & {*agent.envoys()}, "one Envoy is left", seconds=LONG)
        await agent.ready()
        versions.append(await version(agent))
    done.set()
    answers = await load
    assert set(answers) == {(200, "hello")}
    assert versions[0] == versions[2] != versions[1]
    assert agent.stop() == 0
    assert agent.envoys() == []


async def test_the_same_file_again_is_no_reason_to_exchange_it(
    agent: Agent, pilot: Pilot, app: int, tmp_path: Path
) -> None:
    place = tmp_path / "envoy"
    await started_from(place, agent, pilot, app)
    (runs,) = agent.envoys()
    put(find(""), place)
    reload(agent)
    await adopted(agent, 1)
    assert agent.envoys() == [runs]


async def test_one_that_cannot_hand_over_goes_on(
    agent: Agent, pilot: Pilot, app: int, tmp_path: Path
) -> None:
    place = tmp_path / "envoy"
    await started_from(place, agent, pilot, app)
    (runs,) = agent.envoys()
    told = Path(f"/proc/{runs}/cmdline").read_text().split("\0")
    os.unlink(f"/dev/shm/envoy_shared_memory_{int(told[told.index('--base-id') + 1]) * 10}")
    put(find(""), place, more=b"another build")
    reload(agent)
    await adopted(agent, 1)
    assert agent.said("envoy not replaced") == 1
    assert agent.envoys() == [runs]
    assert await fetch(f"http://{agent.ip}:28080/") == (200, "hello")
