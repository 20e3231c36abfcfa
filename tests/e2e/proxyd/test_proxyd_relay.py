"""proxyd with a real Envoy: what pilotd says, Envoy does; what nobody says, stays."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import time
from pathlib import Path

import pytest
from meshlet import Agent, Ca, Pilot
from meshlet_net import eventually, fetch, upstream_app
from worlds import cluster, world

from artemon.xds.session import Accepted, Rejected
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES

pytestmark = pytest.mark.envoy


async def test_envoy_serves_what_pilotd_says(agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    assert await fetch(f"http://{agent.ip}:28080/") == (200, "hello")
    assert pilot.nodes[0].id == f"sidecar~{agent.ip}~reviews-1.bookinfo~bookinfo.svc.cluster.local"
    for url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES):
        await pilot.until(Accepted, type_url=url)
    assert agent.stop() == 0
    assert agent.envoys() == []
    assert agent.said("warning proxyd: caught ENVOY_SIGTERM source=envoy component=main") == 1


async def test_a_change_of_endpoints_reaches_envoy(agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    with upstream_app("moved") as other:
        pilot.publish(*world(agent.ip, other))
        await eventually(lambda: answers(agent, "moved"), "the new endpoint answers")


async def test_what_envoy_refuses_is_named_to_pilotd_and_the_good_stays(
    agent: Agent, pilot: Pilot, app: int
) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    with upstream_app("moved") as other:
        bad = cluster("app", edsClusterConfig={"edsConfig": {"path": "/none"}})
        _, *rest = world(agent.ip, other)
        pilot.publish(bad, cluster("extra"), *rest)
        (refusal,) = await pilot.until(Rejected, type_url=CLUSTER)
        assert [name for name, _ in refusal.resources] == ["app"]
        await eventually(lambda: answers(agent, "moved"), "the rest of the change is in force")
    assert agent.said("envoy refuses configuration") == 1
    pilot.publish(*world(agent.ip, app))
    await eventually(lambda: answers(agent, "hello"), "mended")


async def test_an_envoy_killed_while_everything_is_dead_comes_back_from_disk(
    agent: Agent, pilot: Pilot, app: int
) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    await eventually((agent.data / "last-good.json").exists, "saved")
    await pilot.stop()
    assert await fetch(f"http://{agent.ip}:28080/") == (200, "hello")
    (envoy,) = agent.envoys()
    os.kill(envoy, signal.SIGKILL)
    await eventually(lambda: answers(agent, "hello"), "served again by a new Envoy")
    assert envoy not in agent.envoys()
    assert agent.stop() == 0
    agent.start()
    await agent.ready()
    assert await fetch(f"http://{agent.ip}:28080/") == (200, "hello")


async def test_nothing_equal_is_sent_again_when_pilotd_returns(agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    await pilot.until(Accepted, type_url=ROUTES)
    await pilot.stop()
    pilot.sent.clear()
    await pilot.start()
    await eventually(lambda: len(pilot.nodes) == 2, "a second stream")
    pilot.publish(*world(agent.ip, app), cluster("more"))
    await eventually(lambda: CLUSTER in {url for url, *_ in pilot.sent}, "the change is sent")
    assert [names for url, names, _ in pilot.sent if url == CLUSTER] == [("more",)]
    assert not [sent for sent in pilot.sent if "app" in sent[1]]


async def test_an_empty_pilotd_removes_nothing(agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    await pilot.until(Accepted, type_url=ROUTES)
    pilot.publish()
    await pilot.until(Rejected, type_url=CLUSTER)
    assert await fetch(f"http://{agent.ip}:28080/") == (200, "hello")
    assert agent.said("held back") >= 1


async def test_a_corrupt_cache_is_set_aside(agent: Agent, pilot: Pilot, app: int) -> None:
    agent.data.joinpath("last-good.json").write_bytes(b"artemon-last-good-1 00\n{}")
    agent.data.joinpath("last-good.json").chmod(0o600)
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    assert agent.said("last-good configuration is corrupt") == 1
    assert agent.data.joinpath("last-good.corrupt").exists()


async def test_a_killed_proxyd_leaves_envoy_and_the_next_one_adopts_it(
    agent: Agent, pilot: Pilot, app: int
) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    (envoy,) = agent.envoys()
    agent.kill()
    assert await fetch(f"http://{agent.ip}:28080/") == (200, "hello")
    agent.start()
    await agent.ready()
    assert agent.envoys() == [envoy]
    with upstream_app("moved") as other:
        pilot.publish(*world(agent.ip, other))
        await eventually(lambda: answers(agent, "moved"), "the adopted Envoy takes changes")
    assert agent.stop() == 0
    assert agent.envoys() == []


async def test_an_envoy_of_other_settings_is_not_adopted(agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    (envoy,) = agent.envoys()
    agent.kill()
    agent.settings["concurrency"] = 2
    agent.start()
    await eventually(lambda: agent.envoys() and envoy not in agent.envoys(), "another Envoy")
    await agent.ready()


async def test_readiness_tells_what_it_waits_for_and_metrics_are_merged(
    agent: Agent, pilot: Pilot, app: int
) -> None:
    agent.start()
    waiting = await eventually(lambda: waits(agent, "configuration"), "waits for configuration")
    assert "pilotd" in waiting
    assert (await fetch(f"http://{agent.ip}:15021/healthz/ready"))[0] != 200
    pilot.publish(*world(agent.ip, app))
    await agent.ready()
    assert (await fetch(f"http://{agent.ip}:15021/healthz/ready"))[0] == 200
    status, text = await fetch(f"{agent.status}/stats/prometheus")
    assert status == 200
    assert "istio_agent_pilot_connected 1.0" in text
    assert "envoy_server_live" in text
    assert "envoy_server_live" in (await fetch(f"http://{agent.ip}:15090/stats/prometheus"))[1]
    assert (await fetch(f"http://{agent.ip}:15090/config_dump"))[0] == 404
    assert await asyncio.to_thread(agent.command, "status") == (0, "ready\n")


async def test_what_is_under_way_is_finished_when_proxyd_is_told_to_stop(agent: Agent, pilot: Pilot) -> None:
    agent.settings["drain_seconds"] = 2
    with upstream_app("slow", seconds=1) as port:
        pilot.publish(*world(agent.ip, port))
        agent.start()
        await agent.ready()
        request = asyncio.ensure_future(fetch(f"http://{agent.ip}:28080/"))
        await asyncio.sleep(0.3)
        stopping = asyncio.ensure_future(asyncio.to_thread(agent.stop))
        await eventually(lambda: unready(agent), "not ready while it drains")
        assert await request == (200, "slow")
        assert await stopping == 0
    assert agent.envoys() == []


async def test_peers_that_still_send_are_served_up_to_twice_as_long(
    agent: Agent, pilot: Pilot, app: int
) -> None:
    agent.settings["drain_seconds"] = 1
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    stopping, told = asyncio.ensure_future(asyncio.to_thread(agent.stop)), time.monotonic()
    answered = told
    with contextlib.suppress(OSError, http.client.HTTPException):
        while (await fetch(f"http://{agent.ip}:28080/"))[0] == 200:
            answered = time.monotonic()
    assert await stopping == 0
    assert answered - told > 1.5 * agent.settings["drain_seconds"]


async def test_another_daemon_is_not_taken_for_pilotd(ca: Ca, tmp_path: Path, app: int) -> None:
    impostor = Pilot(ca, daemon="galleyd")
    await impostor.start()
    agent = Agent(tmp_path, ca.identity("bookinfo", "bookinfo-reviews"), [impostor.address])
    impostor.publish(*world(agent.ip, app))
    try:
        agent.start()
        await eventually(lambda: agent.log.exists() and agent.said("pilotd does not answer"), "refused")
        assert impostor.nodes == []
        assert await waits(agent, "configuration")
    finally:
        agent.clean()
        await impostor.stop()


async def test_the_second_pilotd_is_asked_when_the_first_is_away(
    agent: Agent, pilot: Pilot, app: int
) -> None:
    agent.settings["pilotd"] = ["127.0.0.1:1", pilot.address]
    agent.settings["run_dir"] = str(agent.directory / ("long" * 40))
    agent.run = agent.directory / ("long" * 40)
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    assert await fetch(f"http://{agent.ip}:28080/") == (200, "hello")


async def answers(agent: Agent, text: str) -> bool:
    return (await fetch(f"http://{agent.ip}:28080/")) == (200, text)


async def unready(agent: Agent) -> bool:
    return (await fetch(f"{agent.status}/healthz/ready"))[0] == 503


async def waits(agent: Agent, condition: str) -> str:
    status, text = await fetch(f"{agent.status}/readyz")
    return json.loads(text)["waiting"].get(condition, "") if status == 503 else ""
