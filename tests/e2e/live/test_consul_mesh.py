"""Plain services that Consul knows, reached through real sidecars."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from consul_servers import Consul
from live_mesh import LiveMesh, Pilotd, wait
from meshlet_net import upstream_app
from required_servers import require_consul

pytestmark = [pytest.mark.consul, pytest.mark.envoy]
URL = "http://web.service.consul:80/"
CLUSTER = "outbound|80||web.service.consul"


@pytest.fixture
def consul(tmp_path: Path) -> Iterator[Consul]:
    require_consul()
    server = Consul(tmp_path / "consul").start()
    yield server
    server.kill()


@pytest.fixture
def mesh(tmp_path: Path, consul: Consul) -> Iterator[LiveMesh]:
    made = LiveMesh(
        tmp_path,
        f"sqlite://{tmp_path}/mesh.db",
        registries=[f"{consul.url}?port=80&protocol=http"],
    )
    yield made
    made.clean()


def test_a_service_of_consul_is_reached_and_a_critical_instance_is_not(
    consul: Consul, mesh: LiveMesh
) -> None:
    with upstream_app("one") as one, upstream_app("two") as two:
        consul.register("web-1", "web", one)
        consul.register("web-2", "web", two)
        client = mesh.start().sidecar("client")
        client.wait_ready()
        wait(lambda: {client.get(URL)[1] for _ in range(8)} == {"one", "two"}, "both answer")
        before = mesh.pilots[0].metric("pilot_xds_pushes_total"), _pushes(mesh, "eds")
        consul.check("web-2", "fail")
        wait(lambda: client.endpoints(CLUSTER)[f"127.0.0.1:{two}"] == "UNHEALTHY", "the state is in Envoy")
        assert {client.get(URL) for _ in range(10)} == {(200, "one")}
        pushes = mesh.pilots[0].metric("pilot_xds_pushes_total") - before[0]
        assert pushes == _pushes(mesh, "eds") - before[1] == 1
        consul.check("web-1", "fail")
        wait(lambda: client.get(URL)[0] == 503, "nobody is left")
        consul.check("web-2", "pass")
        wait(lambda: client.get(URL) == (200, "two"), "the one that is back")


def test_everything_goes_on_while_consul_is_away(consul: Consul, mesh: LiveMesh) -> None:
    with upstream_app("one") as one:
        consul.register("web-1", "web", one)
        client = mesh.start().sidecar("client")
        client.wait_ready()
        wait(lambda: client.get(URL) == (200, "one"), "it answers")
        wait((mesh.folder / "pilot-0" / "data" / "registry-consul.snapshot").exists, "the view is saved")
        consul.kill()
        pilot = mesh.pilots[0]
        wait(lambda: _state(mesh) == "stale", "pilotd says that it is stale")
        assert client.get(URL) == (200, "one")
        pilot.kill()
        pilot.start()
        pilot.wait_ready()
        assert _state(mesh) == "stale"
        late = mesh.sidecar("late")
        late.wait_ready()
        wait(lambda: late.get(URL) == (200, "one"), "a proxy that comes now gets the saved view")
        assert client.get(URL) == (200, "one")
        consul.start()
        consul.check("web-1", "pass")  # it starts with every TTL check critical that was never passed
        with upstream_app("two") as two:
            consul.register("web-2", "web", two)
            wait(lambda: {late.get(URL)[1] for _ in range(8)} == {"one", "two"}, "the catalog goes on")
        assert _state(mesh) == "ok"


def _pushes(mesh: LiveMesh, kind: str) -> float:
    return mesh.pilots[0].metric(f'pilot_xds_pushes_total{{type="{kind}"}}')


def _state(mesh: LiveMesh) -> str:
    return str(mesh.pilots[0].page("/debug/registries")[1]["state"])


def test_services_of_the_mesh_are_in_the_catalog_whichever_pilotd_leads(
    tmp_path: Path, consul: Consul
) -> None:
    exporting = [f"{consul.url}?export=*&port=80&protocol=http&proof=1"]
    mesh = LiveMesh(tmp_path, f"sqlite://{tmp_path}/mesh.db", pilots=2, registries=exporting, lease_ttl=5)
    try:
        with upstream_app("one") as one, upstream_app("plain") as plain:
            consul.register("web-1", "web", plain)
            mesh.start()
            servers = [mesh.sidecar(f"r{n}", service="reviews", app=one) for n in range(2)]
            for sidecar in servers:
                sidecar.wait_ready()
            wait(lambda: len(_exported(consul)) == 2, "both are in the catalog", 60)
            wait(lambda: servers[0].get(URL) == (200, "plain"), "what Consul knows is in the mesh")
            leader = next(pilot for pilot in mesh.pilots if _leads(pilot))
            leader.kill()
            wait(lambda: any(map(_leads, mesh.pilots)), "the other pilotd exports", 60)
            servers[1].agent.process.terminate()
            wait(lambda: len(_exported(consul)) == 1, "who left is out of the catalog", 60)
            names = consul.call("GET", "/v1/catalog/services")
            assert set(names) == {"consul", "web", "reviews-shop"}
            # Whoever drains is still there for a moment, not passing.
            left = consul.call("GET", "/v1/health/service/reviews-shop?passing=1")[0]["Service"]
            address = f"http://{left['Address']}:{left['Port']}/"
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert answer.read() == b"one"
    finally:
        mesh.clean()


def _exported(consul: Consul) -> list[str]:
    rows = consul.call("GET", "/v1/health/service/reviews-shop?passing=1")
    return [row["Service"]["ID"] for row in rows]


def _leads(pilot: Pilotd) -> bool:
    return pilot.alive and bool(pilot.page("/debug/registries")[1]["export"]["leads"])
