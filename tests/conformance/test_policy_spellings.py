"""No spelling of a path, host, method or header gets past a policy that denies it: a real Envoy with its
defaults, and the most lenient servers imaginable behind it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from policy_http2 import Http2
from policy_rig import App, Caller, Rig, running
from policy_spellings import HEADERS, HOSTS, METHODS, is_target, paths

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

pytestmark = pytest.mark.envoy
EVERY = os.environ.get("ARTEMON_SPELLINGS") == "all"
PORT = 18080
DENIED = {
    "127.3.0.1": {"to": [{"operation": {"paths": ["/admin/keys", "/admin/keys/*"]}}]},
    "127.3.0.2": {"to": [{"operation": {"hosts": ["secret.example"]}}]},
    "127.3.0.3": {"to": [{"operation": {"methods": ["DELETE"]}}]},
    "127.3.0.4": {"when": [{"key": "request.headers[x-role]", "values": ["admin"]}]},
}
DENIED |= {
    "127.3.0.5": {"when": [{"key": "request.headers[:authority]", "values": ["secret.example"]}]},
    "127.3.0.6": {"when": [{"key": "request.headers[host]", "values": ["secret.example"]}]},
    "127.3.0.7": {"when": [{"key": "request.headers[:method]", "values": ["DELETE"]}]},
    "127.3.0.8": {"when": [{"key": "request.headers[:path]", "values": ["/admin/keys"]}]},
}
"""The same, named as headers: they are to hold as well."""
PLACES = dict(
    zip(
        ("path", "host", "method", "header", "authority", "host-header", "method-header", "path-header"),
        DENIED,
        strict=True,
    )
)


GATES = ("gate-path", "gate-host")
PLACES |= dict(zip(GATES, ("127.3.1.1", "127.3.1.2"), strict=True))
DENIED |= {PLACES["gate-path"]: DENIED[PLACES["path"]], PLACES["gate-host"]: DENIED[PLACES["host"]]}
"""Gateways with the same policies, and routes of their own."""


def behind_gateways(app: App) -> Iterator[dict[str, Any]]:
    """What gateways serve: everything, from the one server."""

    def one(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        meta = {"name": "all", "namespace": "default"}
        return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}

    port = {"number": PORT, "name": "http", "protocol": "HTTP"}
    host = "behind.default.svc.cluster.local"
    yield one("Gateway", {"selector": {"is": "gateway"}, "servers": [{"hosts": ["*"], "port": port}]})
    yield one("VirtualService", {"hosts": ["*"], "gateways": ["all"],
                                 "http": [{"route": [{"destination": {"host": host}}]}]})  # fmt: skip
    served = {"number": 80, "name": "http", "protocol": "HTTP", "targetPort": app.port}
    yield one("ServiceEntry", {"hosts": [host], "resolution": "STATIC", "ports": [served],
                               "endpoints": [{"address": "127.0.0.1"}]})  # fmt: skip


def proxy(address: str, port: dict[str, Any]) -> dict[str, Any]:
    """The workload or gateway at an address."""
    found = {"namespace": "default", "ipAddresses": [address], "labels": {"at": address, "is": "workload"}}
    if address in {PLACES[gate] for gate in GATES}:
        gate = {"labels": {"at": address, "is": "gateway"}, "metadata": {"ARTEMON_GATEWAY_BIND": address}}
        return {**found, "type": "router", **gate}
    return {**found, "metadata": {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": [port]}}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    app = App()
    policies = [
        {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
         "metadata": {"name": f"p{number}", "namespace": "default"},
         "spec": {"action": "DENY", "rules": [rule], "selector": {"matchLabels": {"at": address}}}}
        for number, (address, rule) in enumerate(DENIED.items())
    ]  # fmt: skip
    objects = [*policies, *behind_gateways(app)]
    snapshot = snapshot_of(load_yaml("\n---\n".join(map(json.dumps, objects))), MeshConfig())
    port = {"number": PORT, "name": "http", "protocol": "HTTP", "listenPort": PORT, "appPort": app.port}
    views = [snapshot.view(read_proxy(proxy(one, port))) for one in DENIED]
    with running(views, tmp_path_factory.mktemp("envoy"), (next(iter(DENIED)), PORT), app=app) as found:
        yield found


GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.example")]


def http2(rig: Rig, place: str) -> Http2:
    """A client of one of PLACES over HTTP/2 without TLS."""
    return Http2(lambda: rig.connect(PLACES[place], PORT, Caller(), "h2"))


def spellings(share: int) -> list[bytes]:
    """All, or one of `share`."""
    every = list(dict.fromkeys(paths()))
    assert len(every) > 5000
    return every if EVERY else every[::share]


def got_past(status: int, body: bytes) -> bool:
    """Whether the server was reached with something that some server takes for the target."""
    if status != 200:
        return False
    told: dict[str, Any] = json.loads(body)
    return is_target(told["line"].split(" ", 1)[1].rpartition(" ")[0])


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("place", "share"), [("path", 5), ("gate-path", 29)])
def test_paths_over_http1(rig: Rig, place: str, share: int) -> None:
    past, through = [], 0
    for path in spellings(share):
        answer = rig.http(PLACES[place], PORT, b"GET " + path + b" HTTP/1.1\r\nhost: a.example\r\n\r\n")
        through += answer.status == 200
        if got_past(answer.status, answer.body):
            past.append((path, answer.told["line"]))
    assert past == [], len(past)
    assert through > 0, "nothing gets through: that proves nothing"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("place", "share"), [("path", 31), ("gate-path", 61)])
def test_paths_over_http2(rig: Rig, place: str, share: int) -> None:
    client, past, through = http2(rig, place), [], 0
    for path in spellings(share):
        reply = client.ask([*GET, (b":path", path)])
        through += reply.status == 200
        if got_past(reply.status, reply.body):
            past.append((path, reply.body[:200]))
    client.close()
    assert past == []
    assert through > 0


@pytest.mark.parametrize("place", ["host", "authority", "host-header", "gate-host"])
@pytest.mark.parametrize("host", HOSTS)
def test_hosts(rig: Rig, host: str, place: str) -> None:
    name = host.encode()
    assert rig.http(PLACES[place], PORT, b"GET / HTTP/1.1\r\nhost: " + name + b"\r\n\r\n").status != 200
    request = b"GET http://" + name + b"/ HTTP/1.1\r\nhost: other.example\r\n\r\n"
    assert rig.http(PLACES[place], PORT, request).status != 200
    client = http2(rig, place)
    assert (
        client.ask(
            [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", name), (b":path", b"/")]
        ).status
        != 200
    )
    client.close()


@pytest.mark.parametrize("place", ["host", "authority", "host-header", "gate-host"])
def test_two_hosts_are_none(rig: Rig, place: str) -> None:
    for one, other in (("other", "secret.example"), ("secret.example", "other")):
        written = f"GET / HTTP/1.1\r\nhost: {one}\r\nhost: {other}\r\n\r\n".encode()
        assert rig.http(PLACES[place], PORT, written).status != 200


@pytest.mark.parametrize("place", ["method", "method-header"])
@pytest.mark.parametrize("method", METHODS)
def test_methods(rig: Rig, method: str, place: str) -> None:
    name = method.encode()
    assert rig.http(PLACES[place], PORT, name + b" / HTTP/1.1\r\nhost: a\r\n\r\n").status != 200
    client = http2(rig, place)
    assert (
        client.ask(
            [(b":method", name), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
        ).status
        != 200
    )
    client.close()


@pytest.mark.parametrize("headers", HEADERS, ids=str)
def test_headers(rig: Rig, headers: list[tuple[str, str]]) -> None:
    written = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers)
    assert (
        rig.http(PLACES["header"], PORT, b"GET / HTTP/1.1\r\nhost: a\r\n" + written + b"\r\n").status != 200
    )
    client = http2(rig, "header")
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    base = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
    assert client.ask([*base, *pairs]).status != 200
    client.close()


SAME = ("/admin/keys", "/admin/keys?", "/admin/keys?a=b", "/admin//keys?x", "/admin/%6beys",
        "/admin/x/../keys", "/admin/keys#x")  # fmt: skip


@pytest.mark.parametrize("path", SAME)
def test_paths_as_headers(rig: Rig, path: str) -> None:
    written = f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    assert rig.http(PLACES["path-header"], PORT, written).status != 200
    client = http2(rig, "path-header")
    assert client.ask([*GET, (b":path", path.encode())]).status != 200
    client.close()


def test_what_nobody_denies_gets_through(rig: Rig) -> None:
    for address in DENIED:
        request = b"GET /other HTTP/1.1\r\nhost: other.example\r\nx-role: user\r\n\r\n"
        assert rig.http(address, PORT, request).status == 200
