"""One mesh for tests that leave it as it was. What is a measurement and no test runs only when asked to:
`make revocations`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from real_envoy import envoy
from servers import free_ports
from trust_mesh import PLAINTEXT, SPACE, Mesh, application, tunnel

collect_ignore = [] if "ARTEMON_REVOCATIONS" in os.environ else ["test_revocation_speed.py"]

STRICT = {
    "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": SPACE}, "spec": {"mtls": {"mode": "STRICT"}},
}  # fmt: skip


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh with real proxies, whose pilotd serves gRPC at PLAINTEXT of its environment."""
    envoy()
    (xds,) = free_ports(1)
    made = Mesh(tmp_path_factory.mktemp("trust"), **{PLAINTEXT: f"127.0.0.1:{xds}"})
    try:
        made.up()
        echo, bytes_ = application(f"{made.net}.20"), tunnel(f"{made.net}.21")
        made.join("echo", 20, protocol="HTTP", app=echo)
        made.join("bytes", 21, protocol="TCP", app=bytes_)
        for number, name in enumerate(("good", "bad", "worse"), 30):
            made.join(name, number)
        made.ready(*made.workloads.values())
        made.apply(STRICT)
        for name in ("good", "bad", "worse"):
            made.eventually(lambda name=name: made.ask(made.workloads[name], "echo") == 200, f"{name} asks")
        yield made
    finally:
        made.down()
