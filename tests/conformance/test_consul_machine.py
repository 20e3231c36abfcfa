"""A machine that registered itself in Consul joins: Consul says what it is, its proxy how it is reached."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from consul_servers import Consul

from artemon.errors import ArtemonError
from artemon.registry.open import open_registries
from artemon.xds.types import CLUSTER, ENDPOINTS, LEAVING
from pilotd.discovery import Options
from proxyd.bootstrap import metadata
from proxyd.joining.consul import registered
from proxyd.settings import ProxydSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "pilotd"))
import pilot_clients
from pilot_clients import identity, mesh, node, until

pytestmark = pytest.mark.consul
WEB = "outbound|8080||web.service.consul"


@pytest.fixture(scope="module")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consul]:
    server = Consul(tmp_path_factory.mktemp("consul")).start()
    meta = {"protocol": "http", "namespace": "books", "service-account": "shop"}
    server.register("web-1", "web", 8080, Meta=meta, Tags=["version=v2"], Address="10.5.0.1")
    yield server
    server.kill()


def told(consul: Consul, service: str = "web") -> dict:
    return registered(service, {"CONSUL_HTTP_ADDR": consul.target})


async def test_one_flag_makes_it_reached_by_mutual_tls(
    consul: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilot_clients, "PATIENCE", 60.0)
    settings = ProxydSettings(**told(consul), interception="REDIRECT")
    assert (settings.ip_address, settings.namespace, settings.service_account) == (
        "10.5.0.1",
        "books",
        "shop",
    )
    assert settings.labels["version"] == "v2"
    options = Options(pilot="pilot-a", registries=open_registries((consul.url,)))
    async with mesh(options=options) as running:
        looker = running.connect(node())
        await looker.until(CLUSTER, WEB)
        looker.ask(ENDPOINTS, WEB)
        await looker.until(ENDPOINTS, WEB, b"10.5.0.1")
        assert b"tlsMode" not in looker.held[ENDPOINTS][WEB]
        joins = node("web-1", ip="10.5.0.1", ARTEMON_SERVICE="", **metadata_of(settings))
        machine = running.connect(joins, peer=identity(account="shop"))
        await looker.until(ENDPOINTS, WEB, b"tlsMode")
        machine.ask(LEAVING)
        machine.pipe.requests.put_nowait(None)
        await until(lambda: b"tlsMode" not in looker.held[ENDPOINTS][WEB])
        assert b"10.5.0.1" in looker.held[ENDPOINTS][WEB], "Consul knows it still"
        assert running.ended == []


def metadata_of(settings: ProxydSettings) -> dict[str, object]:
    """As the machine's proxy says it."""
    return {key: json.loads(json.dumps(value)) for key, value in metadata(settings, "web-1").items()}


def test_what_consul_does_not_know_is_refused(consul: Consul) -> None:
    with pytest.raises(ArtemonError, match=r"other is not registered by this agent \(it has web-1\)"):
        told(consul, "other")


def test_an_agent_that_is_not_there_is_named() -> None:
    with pytest.raises(ArtemonError, match=r"no agent of Consul answers at http://127.0.0.1:1"):
        registered("web", {"CONSUL_HTTP_ADDR": "127.0.0.1:1"})
