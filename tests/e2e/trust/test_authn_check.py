"""Who still talks plaintext: counted by real Envoys, told by `meshctl authn check`, shut out by STRICT."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from real_envoy import envoy
from trust_mesh import SERVE, SPACE, Mesh, Workload, application, tunnel

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    envoy()
    made = Mesh(tmp_path_factory.mktemp("authn"))
    try:
        made.up()
        made.join("echo", 20, protocol="HTTP", app=application(f"{made.net}.20"))
        made.join("bytes", 21, protocol="TCP", app=tunnel(f"{made.net}.21"))
        made.join("client", 30)
        made.ready(*made.workloads.values())
        made.eventually(lambda: made.ask(made.workloads["client"], "echo") == 200, "the client asks")
        yield made
    finally:
        made.down()


def check(mesh: Mesh, code: int | None = None) -> dict[str, Any]:
    """What the command says of each server, by name."""
    said = mesh.meshctl("authn", "check", "-n", SPACE, "-o", "json", code=code)
    return {one["node"]: one for one in json.loads(said)["items"]}


def stranger(mesh: Mesh, server: Workload, number: int) -> int:
    """A request in plaintext, from an address of its own."""
    source = (f"{mesh.net}.{number}", 0)
    connection = http.client.HTTPConnection(server.address, SERVE, timeout=10, source_address=source)
    try:
        connection.request("GET", "/", headers={"Host": "echo"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_who_talks_plaintext_is_named_until_nobody_can(mesh: Mesh) -> None:
    echo, tcp = mesh.workloads["echo"], mesh.workloads["bytes"]
    mesh.eventually(lambda: {"echo", "bytes", "client"} <= check(mesh).keys(), "every proxy is known")
    before = check(mesh, code=0)
    assert [one["port"] for one in before["echo"]["permissive"]] == [SERVE]
    assert before["echo"]["seen"] == before["bytes"]["seen"] == [], "mutual TLS is not counted"
    for _ in range(3):
        assert stranger(mesh, echo, 77) == 200
    assert stranger(mesh, echo, 30) == 200, "the client's own machine, around its proxy"
    with socket.create_connection((tcp.address, SERVE), 10, (f"{mesh.net}.78", 0)) as raw:
        raw.sendall(b"hello")
        assert raw.recv(5) == b"hello"
        mesh.eventually(lambda: check(mesh)["bytes"]["seen"], "an open connection is counted")
    mesh.eventually(lambda: len(check(mesh)["echo"]["seen"]) == 2, "both callers are counted")
    found = check(mesh, code=1)
    callers = {(one["from"], one["port"], one["kind"]): one for one in found["echo"]["seen"]}
    assert callers[f"{mesh.net}.77", SERVE, "plaintext"]["count"] == 3
    assert callers[f"{mesh.net}.30", SERVE, "plaintext"]["name"] == f"{SPACE}/client"
    assert [one["from"] for one in found["bytes"]["seen"]] == [f"{mesh.net}.78"]
    said = mesh.meshctl("authn", "check", "-n", SPACE, code=1)
    assert f"{mesh.net}.77" in said
    assert f"{SPACE}/echo" in said
    strict = {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": SPACE}, "spec": {"mtls": {"mode": "STRICT"}},
    }  # fmt: skip
    mesh.apply(strict)
    mesh.eventually(lambda: _refused(mesh, echo), "STRICT shuts it out")
    assert mesh.ask(mesh.workloads["client"], "echo") == 200
    after = check(mesh, code=0)
    assert after["echo"]["permissive"] == after["echo"]["seen"] == []


def _refused(mesh: Mesh, server: Workload) -> bool:
    try:
        stranger(mesh, server, 77)
    except (OSError, http.client.HTTPException):
        return True
    return False
