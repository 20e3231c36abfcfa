"""Machines that die: a few leave soon, most of a service at once is held."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from consul_servers import Cluster
from live_mesh import LiveMesh, Sidecar, wait
from meshlet_net import upstream_app
from required_servers import require_consul, require_etcd
from servers import EtcdCluster

pytestmark = pytest.mark.envoy
OVER = "proxies_came_back"
"""What a pilotd says once when it no longer waits for proxies after its start."""


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite://{folder}/mesh.db"


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    require_etcd()
    cluster = EtcdCluster(folder / "etcd").start()
    try:
        yield cluster.url
    finally:
        cluster.kill()


@contextmanager
def consul(folder: Path) -> Iterator[str]:
    require_consul()
    cluster = Cluster(folder / "consul").start()
    try:
        yield cluster.url
    finally:
        cluster.kill()


ETCD = pytest.param(etcd, marks=[pytest.mark.etcd, pytest.mark.slow])
CONSUL = pytest.param(consul, marks=pytest.mark.consul)
SLOW = (
    ETCD,
    pytest.param(consul, marks=[pytest.mark.consul, pytest.mark.slow]),
)


@pytest.fixture
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Three members, but for SQLite."""
    with request.param(tmp_path) as url:
        yield url


@pytest.fixture
def mesh(tmp_path: Path, registry: str) -> Iterator[LiveMesh]:
    made = LiveMesh(tmp_path, registry)
    yield made
    made.clean()


@pytest.mark.parametrize("registry", [sqlite, ETCD, CONSUL], indirect=True)
def test_the_only_instance_leaves_with_its_machine_and_most_of_a_service_does_not(mesh: LiveMesh) -> None:
    with upstream_app("app") as app:
        mesh.start()
        alone = mesh.sidecar("alone", service="alone", app=app)
        many = [mesh.sidecar(f"many-{n}", service="many", app=app) for n in range(3)]
        client = mesh.sidecar("client")
        for sidecar in (alone, *many, client):
            sidecar.wait_ready()
        wait(lambda: len(client.endpoints(cluster("many"))) == 3, "all are known")
        wait(lambda: client.get("http://alone.shop.svc.cluster.local:9080/") == (200, "app"), "it answers")
        power_off(alone)
        out = wait(lambda: client.endpoints(cluster("alone")) == {}, "the dead one is out", 90)
        print(f"out after {out:.1f} s")  # noqa: T201
        for sidecar in many:
            power_off(sidecar)
        pilot = mesh.pilots[0]
        wait(lambda: len(pilot.page("/debug/registries")[0]["held"]) >= 2, "most of a service is held", 90)
        assert len(client.endpoints(cluster("many"))) >= 2


@pytest.mark.parametrize("registry", [sqlite, *SLOW], indirect=True)
def test_who_dies_with_its_pilotd_leaves_when_another_pilotd_sees_it(registry: str, tmp_path: Path) -> None:
    """Long before the lease of its record is over."""
    mesh = LiveMesh(tmp_path, registry, pilots=2, lease_ttl=600)
    try:
        with upstream_app("app") as app:
            mesh.start()
            first, second = ([pilot.address] for pilot in mesh.pilots)
            dying = mesh.sidecar("dying", service="dying", app=app, pilotd=first)
            staying = mesh.sidecar("staying", service="staying", app=app, pilotd=[*first, *second])
            client = mesh.sidecar("client", pilotd=second)
            for sidecar in (dying, staying, client):
                sidecar.wait_ready(180)
            both = ("dying", "staying")
            wait(lambda: all(client.endpoints(cluster(name)) for name in both), "both are known", 90)
            mesh.pilots[0].kill()
            power_off(dying)
            out = wait(lambda: client.endpoints(cluster("dying")) == {}, "the dead one is out", 90)
            print(f"out after {out:.1f} s")  # noqa: T201
            assert client.endpoints(cluster("staying")), "whose proxy is at the other pilotd by now"
            assert client.get("http://staying.shop.svc.cluster.local:9080/") == (200, "app")
    finally:
        mesh.clean()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("registry", [sqlite, *SLOW], indirect=True)
def test_who_dies_with_the_only_pilotd_leaves_when_that_is_back(registry: str, tmp_path: Path) -> None:
    """It starts again at once; long before the lease of the dead record is over."""
    mesh = LiveMesh(tmp_path, registry, lease_ttl=600)
    try:
        with upstream_app("app") as app:
            mesh.start()
            names = ("dying", "staying")
            dying, staying = (mesh.sidecar(name, service=name, app=app) for name in names)
            client = mesh.sidecar("client")
            for sidecar in (dying, staying, client):
                sidecar.wait_ready(180)
            wait(lambda: all(client.endpoints(cluster(name)) for name in names), "both are known", 90)
            (pilot,) = mesh.pilots
            pilot.kill()
            power_off(dying)
            pilot.start()
            out = wait(lambda: client.endpoints(cluster("dying")) == {}, "the dead one is out", 120)
            print(f"out after {out:.1f} s")  # noqa: T201
            assert client.endpoints(cluster("staying")), "whose proxy came back"
            assert client.get("http://staying.shop.svc.cluster.local:9080/") == (200, "app")
            power_off(staying)
            pilot.kill()
            client.agent.kill()
            before = pilot.log.read_text().count(OVER)
            pilot.start()
            wait(lambda: pilot.log.read_text().count(OVER) > before, "their time is over", 90)
            held = pilot.page("/debug/registries")[0]["held"]
            assert "staying" in {name.rpartition("/")[2] for name in held}, "nobody came back at all"
    finally:
        mesh.clean()


def cluster(service: str) -> str:
    return f"outbound|9080||{service}.shop.svc.cluster.local"


def power_off(sidecar: Sidecar) -> None:
    """proxyd and its Envoy die in one moment; nothing says goodbye."""
    assert sidecar.agent.process
    pids = (sidecar.agent.process.pid, *sidecar.agent.envoys())
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    sidecar.agent.process.wait()
