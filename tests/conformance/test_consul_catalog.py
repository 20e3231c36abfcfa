"""Consul's catalog as a registry, on a real Consul: what changes there, what an outage may not change."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from consul_servers import Consul
from prometheus_client import CollectorRegistry

from artemon.log import Log
from artemon.model.service import Endpoint, Health
from artemon.registry.keep import Keep
from artemon.registry.metrics import RegistryMetrics
from artemon.registry.open import open_registry
from artemon.snapshot.changes import Change, Upsert
from artemon.store import clock

pytestmark = pytest.mark.consul
WEB = "registry/consul/default/web"


class Seen:
    """What a keep delivered."""

    def __init__(self) -> None:
        self.sources: dict[str, Any] = {}
        self.steps: list[list[Change]] = []
        self.keep: Keep

    def take(self, changes: list[Change]) -> None:
        self.steps.append(changes)
        for change in changes:
            if isinstance(change, Upsert):
                self.sources[change.key] = change.object
            else:
                self.sources.pop(change.key, None)

    def endpoints(self, identity: str = WEB) -> tuple[Endpoint, ...]:
        return self.sources[identity].inline if identity in self.sources else ()

    def ports(self, identity: str = WEB) -> set[int]:
        return {number for one in self.endpoints(identity) for number in one.ports.values() if number}


async def until(holds: Callable[[], Any], seconds: float = 30.0) -> float:
    """How long it took, in seconds."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)
    return time.monotonic() - started


@asynccontextmanager
async def watching(url: str, folder: Path | None = None) -> AsyncIterator[Seen]:
    """The registry runs while the block does."""
    seen = Seen()
    seen.keep = Keep(
        open_registry(url),
        seen.take,
        log=Log("test"),
        metrics=RegistryMetrics(CollectorRegistry()),
        now=clock.now,
        data_dir=folder,
    )
    task = asyncio.ensure_future(seen.keep.run())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_health_goes_through_at_once_and_nothing_else_moves(consul: Consul) -> None:
    for number in (1, 2, 3):
        consul.register(f"web-{number}", "web", 8000 + number, Tags=[f"version|v{number}"])
    consul.register("db-1", "db", 5432)
    async with watching(consul.url) as seen:
        await until(lambda: len(seen.endpoints()) == 3 and len(seen.sources) == 2)
        assert [one.labels["version"] for one in seen.endpoints()] == ["v1", "v2", "v3"]
        states = lambda: [one.health for one in seen.endpoints()]  # noqa: E731
        seen.steps.clear()
        consul.check("web-2", "fail")
        await until(lambda: states() == [Health.HEALTHY, Health.UNHEALTHY, Health.HEALTHY])
        assert {change.key for step in seen.steps for change in step} == {WEB}
        consul.check("web-2", "warn")
        await until(lambda: states() == [Health.HEALTHY] * 3)
        consul.call("PUT", "/v1/agent/service/maintenance/web-3?enable=true")
        await until(lambda: states()[2] is Health.DRAINING)


async def test_instances_and_services_come_and_go(consul: Consul) -> None:
    consul.register("web-1", "web", 8001)
    consul.register("web-2", "web", 8002)
    async with watching(consul.url) as seen:
        await until(lambda: seen.ports() == {8001, 8002})
        consul.deregister("web-2")
        await until(lambda: seen.ports() == {8001})
        consul.register("new-1", "new", 9000)
        await until(lambda: seen.ports("registry/consul/default/new") == {9000})
        consul.deregister("new-1")
        await until(lambda: "registry/consul/default/new" not in seen.sources)
        assert seen.keep.status()["held"] == []


async def test_a_tag_is_a_host_and_goes_with_its_last_instance(consul: Consul) -> None:
    blue = "registry/consul/default/blue.web"
    consul.register("web-1", "web", 8001, Tags=["blue"])
    consul.register("web-2", "web", 8002)
    async with watching(f"{consul.url}?tag_hosts=true") as seen:
        await until(lambda: seen.ports() == {8001, 8002} and seen.ports(blue) == {8001})
        consul.register("web-2", "web", 8002, Tags=["blue"])
        await until(lambda: seen.ports(blue) == {8001, 8002})
        consul.register("web-1", "web", 8011)
        await until(lambda: seen.ports() == {8011, 8002} and seen.ports(blue) == {8002})
        consul.register("web-2", "web", 8002)
        await until(lambda: blue not in seen.sources)
        assert seen.keep.status()["held"] == []


async def test_an_outage_freezes_and_what_happened_meanwhile_is_found(consul: Consul) -> None:
    consul.register("web-1", "web", 8001)
    consul.register("web-2", "web", 8002)
    async with watching(consul.url) as seen:
        await until(lambda: seen.ports() == {8001, 8002})
        consul.kill()
        await until(lambda: seen.keep.status()["state"] == "stale")
        assert seen.ports() == {8001, 8002}
        assert "does not answer" in seen.keep.status()["reason"]
        consul.start()
        consul.deregister("web-1")
        await until(lambda: seen.ports() == {8002})
        await until(lambda: seen.keep.status()["state"] == "ok")


async def test_a_wiped_consul_empties_nothing_until_an_operator_says_so(consul: Consul) -> None:
    for number in (1, 2, 3):
        consul.register(f"web-{number}", "web", 8000 + number)
    consul.register("db-1", "db", 5432)
    async with watching(f"{consul.url}?proof=0.5") as seen:
        await until(lambda: len(seen.endpoints()) == 3 and len(seen.sources) == 2)
        consul.kill()
        consul.wipe()
        consul.start()
        await until(lambda: len(seen.keep.status()["held"]) == 4)
        assert seen.ports() == {8001, 8002, 8003}
        consul.register("web-2", "web", 8002)
        await until(lambda: len(seen.keep.status()["held"]) == 3)
        assert seen.ports() == {8001, 8002, 8003}
        assert seen.keep.release() == 3
        assert seen.ports() == {8002}
        assert "registry/consul/default/db" not in seen.sources


async def test_a_cold_start_without_consul_shows_what_was_saved(consul: Consul, tmp_path: Path) -> None:
    consul.register("web-1", "web", 8001, Meta={"protocol": "http"})
    folder = tmp_path / "data"
    folder.mkdir()
    async with watching(consul.url, folder) as seen:
        await until((folder / "registry-consul.snapshot").exists)
        before = dict(seen.sources)
    consul.kill()
    async with watching(consul.url, folder) as seen:
        await until(lambda: seen.keep.readable)
        assert seen.sources == before
        status = seen.keep.status()
        assert (status["state"], seen.keep.synced.is_set()) == ("stale", False)
    async with watching(consul.url) as seen:
        await until(lambda: seen.keep.status()["reason"] != "it has not been read yet")
        assert not seen.keep.readable


async def test_a_token_that_is_rotated_and_one_that_loses_its_right(tmp_path: Path) -> None:
    acl = {
        "enabled": True,
        "default_policy": "deny",
        "tokens": {"initial_management": "boss", "agent": "boss"},
    }
    consul = Consul(tmp_path / "consul", token="boss", settings={"acl": acl}).start()
    rules = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'
    consul.call("PUT", "/v1/acl/policy", {"Name": "reader", "Rules": rules})
    tokens = [_token(consul), _token(consul)]
    file = tmp_path / "token"
    file.write_text(tokens[0]["SecretID"] + "\n")
    try:
        consul.register("web-1", "web", 8001)
        consul.register("web-2", "web", 8002)
        async with watching(f"{consul.url}?token_file={file}&proof=0.5") as seen:
            await until(lambda: seen.ports() == {8001, 8002})
            consul.call("DELETE", f"/v1/acl/token/{tokens[0]['AccessorID']}")
            await until(lambda: "refuses the token" in seen.keep.status()["reason"])
            assert seen.ports() == {8001, 8002}
            file.write_text(tokens[1]["SecretID"])
            await until(lambda: seen.keep.status()["state"] == "ok")
            consul.deregister("web-1")
            await until(lambda: seen.ports() == {8002})
            policy = consul.call("GET", "/v1/acl/policy/name/reader")
            consul.call("PUT", f"/v1/acl/policy/{policy['ID']}", {**policy, "Rules": ""})
            await until(lambda: "sees less than before" in seen.keep.status()["reason"])
            await until(lambda: seen.keep.status()["held"] == [f"{WEB}/127.0.0.1:8002"])
            assert seen.ports() == {8002}
    finally:
        consul.kill()


def _token(consul: Consul) -> Any:
    return consul.call("PUT", "/v1/acl/token", {"Policies": [{"Name": "reader"}]})


async def test_one_query_for_each_service_and_one_more(consul: Consul) -> None:
    for number in range(12):
        consul.register(f"s{number}-1", f"s{number}", 7000 + number)
    for number in range(3):
        consul.call(
            "PUT",
            "/v1/agent/service/register",
            {
                "Kind": "connect-proxy",
                "Name": f"s{number}-sidecar-proxy",
                "Port": 21000 + number,
                "Proxy": {"DestinationServiceName": f"s{number}"},
            },
        )
    async with watching(f"{consul.url}?watches=5") as seen:
        await until(lambda: len(seen.sources) == 12)
        await asyncio.sleep(1.0)
        assert _connections(consul.port) <= 5 + 2
        consul.check("s11-1", "fail")
        last = "registry/consul/default/s11"
        await until(lambda: seen.endpoints(last)[0].health is Health.UNHEALTHY)
    async with watching(f"{consul.url}?tag=none") as seen:
        await until(seen.keep.synced.is_set)
        assert seen.sources == {}


def _connections(port: int) -> int:
    """Established connections to a port of 127.0.0.1."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(row[2] == f"0100007F:{port:04X}" and row[3] == "01" for row in rows)


async def test_two_datacenters_know_one_host(tmp_path: Path, consul: Consul) -> None:
    other = Consul(tmp_path / "other", settings={"datacenter": "dc2"}).start()
    try:
        consul.register("web-1", "web", 8001)
        other.register("web-1", "web", 8001)
        async with watching(consul.url) as first, watching(f"{other.url}?name=dc2") as second:
            await until(lambda: first.endpoints() and second.endpoints("registry/dc2/default/web"))
            places = [first.endpoints()[0].locality, second.endpoints("registry/dc2/default/web")[0].locality]
            assert places == ["dc1", "dc2"]
    finally:
        other.kill()


async def test_wrong_settings_are_told_with_their_names(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="prot: is not a setting of this registry"):
        open_registry("consul://127.0.0.1:1?prot=http")
    with pytest.raises(Exception, match='protocol: "pigeon" is not a protocol'):
        open_registry("consul://127.0.0.1:1?protocol=pigeon")
    with pytest.raises(Exception, match="plaintext to another machine"):
        open_registry("consul+http://10.0.0.1:8500")
    assert json.dumps(open_registry("consul://127.0.0.1:1").address)
