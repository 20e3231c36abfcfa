"""How Envoy is started is pilotd's to say, and a change of that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.filters.network.echo.v3 import echo_pb2  # noqa: F401 - known to the JSON parser
from envoy_calls import admin, ask_until
from meshlet import Agent, Pilot
from meshlet_net import eventually, fetch, proto, upstream_app
from worlds import Item, cluster, world

from artemon.api.v1.start_pb2 import BootstrapPatch, ProxyStart, StartSettings
from artemon.daemon.envoy import find
from artemon.translate.start import SETTINGS
from artemon.xds.session import Accepted, Rejected
from artemon.xds.types import ENDPOINTS, ROUTES, START

pytestmark = pytest.mark.envoy

TAG = {"stats_config": {"stats_tags": [{"tag_name": "of_the_mesh", "regex": "^none(x)"}]}}
TWO_ADMIN_LAYERS = {"layered_runtime": {"layers": [{"name": "again", "admin_layer": {}}]}}
ADMIN = {"admin": {"address": {"pipe": {"path": "mine.sock"}}}}


ECHO = {
    "name": "envoy.filters.network.echo",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"},
}


LONG = 240.0


def settings(**fields: Any) -> Item:
    return START, SETTINGS, ProxyStart(settings=StartSettings(**fields))


def patch(name: str, place: int, change: dict[str, Any]) -> Item:
    body = proto(Bootstrap, **change).SerializeToString()
    return START, name, ProxyStart(patch=BootstrapPatch(place=place, bootstrap=body))


async def workers(agent: Agent) -> int:
    return int((await admin(agent, "/server_info")).get("command_line_options", {}).get("concurrency", 0))


async def tags(agent: Agent) -> list[str]:
    for one in (await admin(agent, "/config_dump")).get("configs", ()):
        if "bootstrap" in one:
            return [tag["tag_name"] for tag in one["bootstrap"]["stats_config"]["stats_tags"]]
    return []


async def test_envoy_starts_as_pilotd_says_and_again_from_disk(agent: Agent, pilot: Pilot, app: int) -> None:
    told = (settings(concurrency=2, environment={"WHO": "mesh"}), patch("EnvoyFilter/ns/tag/0", 1, TAG))
    pilot.publish(*world(agent.ip, app), *told)
    agent.start()
    await agent.ready()
    (envoy,) = agent.envoys()
    assert await workers(agent) == 2
    assert "of_the_mesh" in await tags(agent)
    assert b"WHO=mesh" in Path(f"/proc/{envoy}/environ").read_bytes().split(b"\0")
    assert agent.said("concurrency=2 environment=WHO patches=EnvoyFilter/ns/tag/0") == 1
    await pilot.until(Accepted, type_url=START)
    await eventually(lambda: kept(agent, "EnvoyFilter/ns/tag/0", ROUTES), "saved")
    await pilot.stop()
    agent.kill()
    agent.start()
    await agent.ready()
    assert agent.envoys() == [envoy]
    os.kill(envoy, signal.SIGKILL)
    await eventually(lambda: agent.envoys() and envoy not in agent.envoys(), "another Envoy", seconds=60)
    await agent.ready()
    assert await workers(agent) == 2
    assert agent.stop() == 0
    assert agent.envoys() == []


async def test_a_change_replaces_envoy_and_loses_no_request(agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    (before,) = agent.envoys()
    done = asyncio.Event()
    load = asyncio.ensure_future(ask_until(agent, done))
    pilot.publish(*world(agent.ip, app), settings(concurrency=2), patch("EnvoyFilter/ns/tag/0", 1, TAG))
    await pilot.until(Accepted, type_url=START, count=2)
    assert await workers(agent) == 2
    assert "of_the_mesh" in await tags(agent)
    await eventually(lambda: before not in agent.envoys(), "the old Envoy has ended", seconds=60)
    done.set()
    answers = await load
    assert answers
    assert set(answers) == {(200, "hello")}
    assert len(agent.envoys()) == 1
    assert agent.said("envoy replaced") == 1
    await agent.ready()


@pytest.mark.timeout(900)
async def test_proxyd_and_envoy_are_upgraded_and_back_and_no_request_is_lost(
    agent: Agent, pilot: Pilot, app: int, tmp_path: Path
) -> None:
    """SIGHUP starts what is installed by now in the same process; another Envoy takes over."""
    pilot.publish(*world(agent.ip, app))
    other = tmp_path / "envoy"
    shutil.copy(find(""), other)
    agent.start()
    await agent.ready()
    assert agent.process
    (first,) = agent.envoys()
    done = asyncio.Event()
    load = asyncio.ensure_future(ask_until(agent, done))
    config, starts = agent.directory / "proxyd.yaml", 1
    config.write_text(yaml.safe_dump({**agent.settings, "no_such": 1}))
    agent.process.send_signal(signal.SIGHUP)
    await eventually(lambda: agent.said("not_reloaded"), "refused", seconds=LONG)
    for binary in ("", str(other), ""):
        config.write_text(yaml.safe_dump({**agent.settings, "envoy": binary}))
        agent.process.send_signal(signal.SIGHUP)
        starts += 1
        await eventually(lambda n=starts: agent.said("envoy connected") >= n, "anew", seconds=LONG)
        wanted = [str(other if binary else find(""))]
        await eventually(lambda path=wanted: programs(agent) == path, "that Envoy", seconds=LONG)
        await agent.ready()
        if starts == 2:
            assert agent.envoys() == [first], "nothing changed for Envoy: it goes on"
    assert agent.process.poll() is None, "the process stayed the same"
    done.set()
    answers = await load
    assert answers
    assert set(answers) == {(200, "hello")}
    assert agent.said("envoy replaced") == 2
    assert agent.stop() == 0
    assert agent.envoys() == []


def programs(agent: Agent) -> list[str]:
    """What the Envoys that run were started from."""
    found = []
    for pid in agent.envoys():
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode())
    return found


async def test_an_envoy_that_does_not_come_to_serve_is_taken_back(
    agent: Agent, pilot: Pilot, app: int
) -> None:
    """A listener where somebody else listens: nobody can know before it is tried."""
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    where = {"socket_address": {"address": "127.0.0.1", "port_value": app}}
    taken = {"name": "taken", "address": where, "filter_chains": [{"filters": [ECHO]}]}
    name = "EnvoyFilter/ns/taken/0"
    pilot.publish(*world(agent.ip, app), patch(name, 1, {"static_resources": {"listeners": [taken]}}))
    (refusal, *_) = await pilot.until(Rejected, type_url=START)
    assert [one for one, _ in refusal.resources] == [name]
    assert "of no use" in refusal.message
    await eventually(lambda: answers(agent, "hello"), "served as before", seconds=60)
    await agent.ready()
    assert len(agent.envoys()) == 1


async def test_without_shared_memory_envoy_drains_and_is_started_anew(
    agent: Agent, pilot: Pilot, app: int
) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    (before,) = agent.envoys()
    told = Path(f"/proc/{before}/cmdline").read_text().split("\0")
    base = int(told[told.index("--base-id") + 1])
    Path(f"/dev/shm/envoy_shared_memory_{base * 10}").unlink()
    pilot.publish(*world(agent.ip, app), settings(concurrency=2))
    await pilot.until(Accepted, type_url=START, count=2)
    assert before not in agent.envoys()
    assert await workers(agent) == 2
    await eventually(lambda: answers(agent, "hello"), "served again", seconds=60)


async def test_what_cannot_be_is_refused_alone(agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(agent.ip, app))
    agent.start()
    await agent.ready()
    bad, forbidden, good = "EnvoyFilter/ns/bad/0", "EnvoyFilter/ns/admin/0", "EnvoyFilter/ns/tag/0"
    patches = (patch(bad, 1, TWO_ADMIN_LAYERS), patch(forbidden, 2, ADMIN), patch(good, 3, TAG))
    pilot.publish(*world(agent.ip, app), *patches)
    refusals = await pilot.until(Rejected, type_url=START)
    named = dict(name for refusal in refusals for name in refusal.resources)
    assert named.keys() == {bad, forbidden}
    message = " ".join(refusal.message for refusal in refusals)
    assert "must stay as they are" in message
    assert "admin layer" in message
    await eventually(lambda: has_tag(agent), "the good patch is in force", seconds=60)
    assert await fetch(f"http://{agent.ip}:28080/") == (200, "hello")


async def has_tag(agent: Agent) -> bool:
    return "of_the_mesh" in await tags(agent)


def kept(agent: Agent, *names: str) -> bool:
    file = agent.data / "last-good.json"
    return file.exists() and all(name in file.read_text() for name in names)


def in_zones(name: str, **ports: int) -> Item:
    """Instances by zone of region eu."""
    places = []
    for zone, port in ports.items():
        address = {"socketAddress": {"address": "127.0.0.1", "portValue": port}}
        locality = {"region": "eu", "zone": zone}
        places.append({"locality": locality, "lbEndpoints": [{"endpoint": {"address": address}}]})
    return ENDPOINTS, name, proto(ClusterLoadAssignment, clusterName=name, endpoints=places)


async def test_zones_count_where_the_own_service_is_known(agent: Agent, pilot: Pilot, app: int) -> None:
    """Two instances in two zones, and the own service as well: requests stay in the zone of the caller."""
    aware = cluster("app", commonLbConfig={"zoneAwareLbConfig": {"minClusterSize": 1}})
    agent.settings["locality"] = "eu/a"
    with upstream_app("far") as far:
        _, _, *rest = world(agent.ip, app)
        spread = (aware, in_zones("app", a=app, b=far), *rest)
        pilot.publish(*spread)
        agent.start()
        await agent.ready()
        await eventually(lambda: answers(agent, "far"), "without knowing the own service, all are asked")
        pilot.publish(*spread, in_zones("own", a=1, b=2), settings(local_cluster="own"))
        await pilot.until(Accepted, type_url=START, count=2)
        assert await workers(agent) == 1
        assert {await fetch(f"http://{agent.ip}:28080/") for _ in range(20)} == {(200, "hello")}


async def answers(agent: Agent, text: str) -> bool:
    return await fetch(f"http://{agent.ip}:28080/") == (200, text)
