"""kill -9 in the middle of writes: what was acknowledged stays; the rest is there wholly or not at all."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from served import ADDRESS, Galleyd, own_certificate

ROUNDS = 3


def pair(number: int) -> dict[str, Any]:
    """A transaction of two objects."""
    names = (f"a{number}", f"b{number}")
    return {
        "objects": [
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "DestinationRule",
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {"host": name},
            }
            for name in names
        ]
    }


def ask(server: Galleyd, method: str, path: str, body: object = None) -> Any:
    tls = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection(ADDRESS, server.port, context=tls, timeout=10)
    headers = {"Authorization": f"Bearer {server.token}"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    return json.loads(response.read())


def test_what_was_acknowledged_survives_kill(tmp_path: Path) -> None:
    server = Galleyd(tmp_path)
    acknowledged: list[int] = []
    tried = 0

    def write() -> None:
        nonlocal tried
        try:
            while True:
                tried += 1
                ask(server, "POST", "/artemon/v1/transactions", pair(tried))
                acknowledged.append(tried)
        except (OSError, http.client.HTTPException, ValueError):
            return

    for _ in range(ROUNDS):
        server.start()
        writer = threading.Thread(target=write)
        before = len(acknowledged)
        writer.start()
        while len(acknowledged) < before + 5 and writer.is_alive():
            time.sleep(0.01)
        server.kill()
        writer.join()
    server.start()
    listed = ask(server, "GET", "/apis/networking.istio.io/v1/namespaces/shop/destinationrules")
    history = ask(server, "GET", "/artemon/v1/history?limit=500")
    assert server.stop() == 0

    names = {item["metadata"]["name"] for item in listed["items"]}
    assert len(acknowledged) >= 5 * ROUNDS
    assert names >= {f"{letter}{number}" for number in acknowledged for letter in "ab"}
    assert {name[1:] for name in names if name[0] == "a"} == {name[1:] for name in names if name[0] == "b"}
    recorded = {change["name"] for record in history["items"] for change in record["changes"]}
    assert recorded == names


def test_a_stop_lets_watching_clients_go(tmp_path: Path) -> None:
    server = Galleyd(tmp_path)
    server.start()
    tls = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection(ADDRESS, server.port, context=tls, timeout=20)
    path = "/apis/networking.istio.io/v1/virtualservices?watch=1"
    connection.request("GET", path, headers={"Authorization": f"Bearer {server.token}"})
    response = connection.getresponse()
    ended = threading.Thread(target=response.read)
    ended.start()
    assert server.stop() == 0
    ended.join(10)
    assert not ended.is_alive()


def test_it_can_be_stopped_while_it_waits_for_citadeld(tmp_path: Path) -> None:
    argv = ["--citadeld", "127.0.0.1:1", "--identity-dir", str(tmp_path / "id"), "--state-dir", str(tmp_path)]
    (tmp_path / "token").write_text("t" * 40)
    (tmp_path / "token").chmod(0o600)
    argv += ["--join-token-file", str(tmp_path / "token"), "--ca-pin", "0" * 64]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "galleyd", *argv], stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while "join_postponed" not in (tmp_path / "log").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(10) == 0


def test_own_certificate_and_tokens_are_read_again(tmp_path: Path) -> None:
    server = Galleyd(tmp_path)
    server.start()
    old = server.ca.read_text()
    own_certificate(tmp_path)
    assert server.ca.read_text() != old
    server.reload()
    deadline = time.monotonic() + 10
    while ssl.get_server_certificate((ADDRESS, server.port)) == old and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ask(server, "GET", "/artemon/v1/history") == {"items": []}
    assert server.stop() == 0
