"""What an application's probe says reaches the Envoys of its peers, and so does an operator's `drain`."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_mesh import NAMESPACE, LiveMesh, wait

pytestmark = pytest.mark.envoy
URL = f"http://cart.{NAMESPACE}.svc.cluster.local:9080/"
CLUSTER = f"outbound|9080||cart.{NAMESPACE}.svc.cluster.local"


class Application(http.server.ThreadingHTTPServer):
    """Ready, or not yet."""

    ready = False
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Application

    def do_GET(self) -> None:
        self.send_response(200 if self.server.ready or self.path != "/ready" else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def application() -> Iterator[Application]:
    with Application(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_peers_follow_the_probe_and_the_operator(tmp_path: Path, application: Application) -> None:
    port = application.server_address[1]
    probe = {"httpGet": {"path": "/ready", "port": port}, "periodSeconds": 1, "timeoutSeconds": 30}
    mesh = LiveMesh(tmp_path, f"sqlite://{tmp_path}/mesh.db", config_signatures="off")
    try:
        mesh.start()
        cart = mesh.sidecar("cart-1", service="cart", app=port, probe=probe)
        client = mesh.sidecar("client")
        cart.wait_ready()
        client.wait_ready()

        def is_seen_as(health: str) -> None:
            wait(lambda: set(client.endpoints(CLUSTER).values()) == {health}, f"{health}: {cart.agent.log}")

        is_seen_as("UNHEALTHY")
        assert client.get(URL)[0] == 503
        application.ready = True
        is_seen_as("HEALTHY")
        wait(lambda: client.get(URL)[0] == 200, "it is reached")
        application.ready = False
        is_seen_as("UNHEALTHY")
        application.ready = True
        is_seen_as("HEALTHY")
        status, told = cart.agent.command("drain")
        assert (status, told.strip()) == (0, "DRAINING; requests under way: 0")
        is_seen_as("DRAINING")
        mesh.pilots[0].kill()
        mesh.pilots[0].start()
        mesh.pilots[0].wait_ready()
        wait(lambda: cart.agent.said("pilotd connected") > 1, "the stream is a new one")
        is_seen_as("DRAINING")
        assert cart.agent.said('health="DRAINING"') + cart.agent.said("health=DRAINING") == 1
        assert _undo(cart.agent) == "HEALTHY"
        is_seen_as("HEALTHY")
        wait(lambda: client.get(URL)[0] == 200, "it is reached again")
    finally:
        mesh.clean()


def _undo(agent: Any) -> str:
    status, told = agent.command("drain", "--undo")
    assert status == 0
    return str(told.partition(";")[0])
