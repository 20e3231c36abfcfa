"""Several pilotds: equal, one takes over from another, and proxies spread and come back."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_mesh import LiveMesh, Pilotd, Sidecar, wait
from load import load
from meshlet_net import upstream_app

pytestmark = pytest.mark.envoy
URL = "http://reviews.shop.svc.cluster.local:9080/"


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[LiveMesh]:
    made = LiveMesh(tmp_path, f"sqlite://{tmp_path}/mesh.db", pilots=2)
    yield made
    made.clean()


def test_a_killed_pilotd_and_a_rolling_restart_cost_no_request(mesh: LiveMesh) -> None:
    with upstream_app("one") as one, upstream_app("two") as two:
        mesh.start()
        servers = [mesh.sidecar(f"r{n}", service="reviews", app=port) for n, port in enumerate((one, two))]
        client = mesh.sidecar("client")
        for sidecar in (*servers, client):
            sidecar.wait_ready()
        wait(lambda: {client.get(URL)[1] for _ in range(8)} == {"one", "two"}, "both answer")
        dump = _dumped(mesh, "client")
        with load([client], URL) as found:
            dying, other = _serving(mesh, "client"), _other(mesh, "client")
            dying.kill()
            moved = wait(lambda: "client" in _names(other), "the client moved", 30)
            wait(lambda: {"r0", "r1", "client"} <= _names(other), "everyone moved")
            assert _dumped(mesh, "client") == dump, "replicas say the same, byte for byte"
            dying.start()
            dying.wait_ready()
            wait(lambda: "client" in _names(dying), "it went back to the pilotd of its choice", 60)
            assert dying.process
            dying.process.send_signal(signal.SIGSTOP)
            frozen = wait(lambda: "client" in _names(other), "the client left a pilotd that is frozen", 30)
            dying.process.send_signal(signal.SIGCONT)
            for pilot in mesh.pilots:
                pilot.stop()
                pilot.start()
                pilot.wait_ready()
            wait(lambda: sum(len(_names(pilot)) for pilot in mesh.pilots) >= 3, "all are served")
        assert found.failures == []
        assert set(found.answers) == {"one", "two"}
        assert moved < 10, "on a quiet machine less than 2"
        assert frozen < 10, "on a quiet machine less than 2"


def test_a_workload_that_stops_leaves_at_once_and_a_dead_one_soon(mesh: LiveMesh) -> None:
    cluster = "outbound|9080||reviews.shop.svc.cluster.local"
    with upstream_app("one") as one, upstream_app("two") as two, upstream_app("three") as three:
        mesh.start()
        servers = [
            mesh.sidecar(f"r{n}", service="reviews", app=port, drain_seconds=3)
            for n, port in enumerate((one, two, three))
        ]
        client = mesh.sidecar("client")
        for sidecar in (*servers, client):
            sidecar.wait_ready()
        wait(lambda: {client.get(URL)[1] for _ in range(12)} == {"one", "two", "three"}, "all answer")
        with load([client], URL) as found:
            assert servers[0].agent.process
            servers[0].agent.process.terminate()
            gone = wait(lambda: _healthy(client, cluster) == 2, "out of the client's Envoy")
            servers[0].agent.process.wait(30)
            wait(lambda: len(client.endpoints(cluster)) == 2, "its record is gone")
        assert found.failures == []
        _freeze(servers[1])
        dead = wait(lambda: _healthy(client, cluster) == 1, "a dead machine is out", 60)
        assert {client.get(URL) for _ in range(6)} == {(200, "three")}
        assert gone < 5
        assert dead < 30, "on a quiet machine less than 12"


def _healthy(client: Sidecar, cluster: str) -> int:
    return sum(state in {"HEALTHY", "UNKNOWN", ""} for state in client.endpoints(cluster).values())


def _freeze(sidecar: Sidecar) -> None:
    """As a machine that loses its power: nothing is said any more, and nothing is closed."""
    assert sidecar.agent.process
    for pid in (sidecar.agent.process.pid, *sidecar.agent.envoys()):
        os.kill(pid, signal.SIGSTOP)


def _names(pilot: Pilotd) -> set[str]:
    try:
        nodes = pilot.served() if pilot.alive else set()
        return {node.split("~")[2].split(".")[0] for node in nodes}
    except (subprocess.CalledProcessError, ValueError):  # it is starting or stopping
        return set()


def _serving(mesh: LiveMesh, name: str) -> Pilotd:
    return next(pilot for pilot in mesh.pilots if name in _names(pilot))


def _other(mesh: LiveMesh, name: str) -> Pilotd:
    serving = _serving(mesh, name)
    return next(pilot for pilot in mesh.pilots if pilot is not serving)


def _dumped(mesh: LiveMesh, name: str) -> dict[str, Any]:
    """What the proxy was sent, without the revision of the registry."""
    return _serving(mesh, name).dump(f"{name}.shop")
