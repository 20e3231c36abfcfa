"""Servers that are not who was called, as poisoned DNS or a stolen address leads to: a real Envoy pins the
very identity and sends them nothing."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from policy_rig import App, Realm, Rig, running
from servers import free_ports

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

pytestmark = pytest.mark.envoy
CLIENT = "127.9.1.1"
RIGHT = "cluster.local/ns/bank/sa/pay"
IMPOSTORS = {
    "account": "cluster.local/ns/bank/sa/web",
    "longer": "cluster.local/ns/bank/sa/pay2",
    "path": "cluster.local/ns/bank/sa/pay/x",
    "namespace": "cluster.local/ns/bank2/sa/pay",
    "case": "cluster.local/ns/bank/sa/Pay",
    "domain": "cluster.local.evil.example/ns/bank/sa/pay",
    "encoded": "cluster.local/ns/bank/sa/%70ay",
}


class Server(ThreadingTCPServer):
    """Ends TLS with one certificate (context: None, plaintext) and says its name. heard: what came inside."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, name: str, context: ssl.SSLContext | None) -> None:
        self.heard: list[bytes] = []
        outer = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    connection = (
                        context.wrap_socket(self.request, server_side=True) if context else self.request
                    )
                    outer.heard.append(connection.recv(1000))
                    body = name.encode()
                    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
                    connection.sendall(head + body)

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


def context(realm: Realm, identity: str) -> ssl.SSLContext:
    """A server of `identity` that would take any client."""
    realm.client(identity, "istio")
    out = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    out.load_cert_chain(realm.folder / f"{identity.replace('/', '_')}.pem")
    return out


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, int, dict[str, Server]]]:
    """An Envoy, its port, and the servers by name."""
    folder, (port,) = tmp_path_factory.mktemp("envoy"), free_ports(1)
    foreign = tmp_path_factory.mktemp("foreign")
    servers: dict[str, Server] = {"foreign": Server("foreign", context(Realm(foreign), RIGHT))}
    servers["plaintext"] = Server("plaintext", None)
    ready: dict[str, str] = {"right": RIGHT, **IMPOSTORS}
    waiting: dict[str, ssl.SSLContext] = {}
    for name in ready:
        waiting[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        servers[name] = Server(name, waiting[name])
    objects = [part for name, one in servers.items() for part in service(name, one.server_address[1])]
    snapshot = snapshot_of(load_yaml("\n---\n".join(map(json.dumps, objects))), MeshConfig())
    metadata = {"INTERCEPTION_MODE": "NONE", "HTTP_PROXY_PORT": str(port)}
    view = snapshot.view(read_proxy({"namespace": "default", "ipAddresses": [CLIENT], "metadata": metadata}))
    with running([view], folder, (CLIENT, port), app=App()) as rig:
        for name, identity in ready.items():
            rig.realm.client(identity, "istio")
            waiting[name].load_cert_chain(folder / f"{identity.replace('/', '_')}.pem")
        yield rig, port, servers
    for one in servers.values():
        one.shutdown()


def service(name: str, port: int) -> Iterator[dict[str, Any]]:
    """A service of the account `pay` behind a name that DNS resolves."""
    host = f"{name}.example"

    def one(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        meta = {"name": name, "namespace": "bank"}
        return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}

    yield one("ServiceEntry", {
        "hosts": [host], "location": "MESH_INTERNAL", "resolution": "DNS",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": "localhost", "ports": {"http": port}, "serviceAccount": "pay"}],
    })  # fmt: skip
    yield one("DestinationRule", {"host": host, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}})


def ask(called: tuple[Rig, int, dict[str, Server]], name: str) -> tuple[int, bytes]:
    rig, port, _ = called
    request = f"GET http://{name}.example/ HTTP/1.1\r\nhost: {name}.example\r\n\r\n".encode()
    found = rig.http(CLIENT, port, request)
    return found.status, found.body


def test_the_right_one_answers(called: tuple[Rig, int, dict[str, Server]]) -> None:
    assert ask(called, "right") == (200, b"right")


@pytest.mark.parametrize("name", [*IMPOSTORS, "foreign", "plaintext"])
def test_t36_others_are_sent_nothing(called: tuple[Rig, int, dict[str, Server]], name: str) -> None:
    assert ask(called, name)[0] == 503
    heard = b"".join(called[2][name].heard)
    assert b"GET" not in heard, "the request went to somebody else"
