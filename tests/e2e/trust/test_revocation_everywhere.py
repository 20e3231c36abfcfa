"""Revocation at three speeds on real proxies (T16): open connections, new ones, renewals and streams."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time

import pytest
from trust_mesh import SERVE, Mesh, Thief, Workload

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(400)]

TLS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def serial_of(mesh: Mesh, workload: Workload) -> str:
    found = json.loads(mesh.meshctl("certificate", "list", "-o", "json"))["items"]
    return str(next(one["serial"] for one in reversed(found) if one["identity"] == workload.identity))


def closed_within(connection: ssl.SSLSocket, seconds: float, use: object) -> float:
    """How long an open connection was good for after now."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            use(connection)  # type: ignore[operator]
        except OSError:
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError(f"still served after {seconds} s")


def bounced(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"ping")
    if connection.recv(4) != b"ping":
        raise ConnectionResetError("closed")


def test_t16_a_revoked_certificate_opens_no_connection_resumes_none_and_keeps_none(mesh: Mesh) -> None:
    echo, bytes_, bad, good = (mesh.workloads[name] for name in ("echo", "bytes", "bad", "good"))
    thieves = [Thief(bad, version) for version in TLS]
    assert [thief.once(echo) for thief in thieves] == [200, 200]
    open_http, open_tcp = thieves[1].connect(echo), Thief(bad, TLS[1], "istio").connect(bytes_)
    assert thieves[1].get(open_http) == 200
    bounced(open_tcp)
    said = mesh.meshctl("certificate", "revoke", "--serial", serial_of(mesh, bad), "--reason", "test")
    assert re.search(r"confirmed by (\d+)/\1 proxies", said)
    assert closed_within(open_http, 10, thieves[1].get) < 10
    assert closed_within(open_tcp, 10, bounced) < 10
    for thief in thieves:
        assert thief.is_refused(echo), "a revoked certificate is taken"
        thief.session = None
        assert thief.is_refused(echo)
    assert mesh.ask(good, "echo") == 200
    assert "revoked (test)" in mesh.meshctl("certificate", "list")


def test_t16_a_banned_identity_loses_open_connections_streams_and_renewals(mesh: Mesh) -> None:
    echo, bytes_, worse, good = (mesh.workloads[name] for name in ("echo", "bytes", "worse", "good"))
    thief, tcp = Thief(worse, ssl.TLSVersion.TLSv1_3), Thief(worse, ssl.TLSVersion.TLSv1_3, "istio")
    open_http, open_tcp = thief.connect(echo), tcp.connect(bytes_)
    assert thief.get(open_http) == 200
    bounced(open_tcp)
    said = mesh.meshctl("certificate", "revoke", "--identity", worse.identity, "--reason", "stolen")
    assert "proxies in" in said
    assert thief.is_refused(echo)
    assert closed_within(open_http, 10, thief.get) < 10
    assert closed_within(open_tcp, 10, bounced) < 10
    mesh.eventually(
        lambda: "revoked" in (worse.folder / "proxyd.log").read_text(), "pilotd closes the stream"
    )
    mesh.eventually(
        lambda: all(
            not one["proxy"].startswith("worse")
            for one in json.loads(mesh.meshctl("proxy-status", "-o", "json"))
        ),
        "its proxy is gone",
    )
    assert mesh.ask(good, "echo") == 200
    listed = mesh.meshctl("certificate", "list")
    assert f"banned: {worse.identity}" in listed
    mesh.meshctl("certificate", "reinstate", "--identity", worse.identity)
    assert "banned" not in mesh.meshctl("certificate", "list")


def test_t26_nothing_is_served_in_plaintext(mesh: Mesh) -> None:
    with socket.create_connection((mesh.workloads["echo"].address, SERVE), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n")
        try:
            answer = raw.recv(100)
        except OSError:
            answer = b""
    assert not answer.startswith(b"HTTP")
