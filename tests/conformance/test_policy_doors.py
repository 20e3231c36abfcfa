"""Ways into a workload that asks for mutual TLS, other than mutual TLS: old versions, weak ciphers, odd ALPN,
certificates of others, plaintext that looks like something else. A real Envoy lets none in, and one that
takes plaintext too takes nobody for somebody."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from policy_rig import App, Caller, Realm, Rig, running

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

pytestmark = pytest.mark.envoy
HTTP, TCP, SNIFFED = 18080, 18081, 18082
PORTS = {HTTP: "HTTP", TCP: "TCP", SNIFFED: ""}
STRICT, BOTH = "127.9.0.1", "127.9.0.2"
"""A workload that takes mutual TLS alone; one that takes plaintext as well, where a policy wants a name."""
WEB = "cluster.local/ns/default/sa/web"
GET = b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
MESH_ALPN = ("istio-http/1.1", "istio", "istio-peer-exchange", "istio-h2", "istio-http/1.0")


def policy(kind: str, name: str, spec: dict[str, Any], address: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    chosen = {**spec, "selector": {"matchLabels": {"at": address}}}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": meta, "spec": chosen}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    app = App()
    named = {"rules": [{"from": [{"source": {"namespaces": ["default"]}}]}]}
    nobody = {"action": "DENY", "rules": [{"from": [{"source": {"notNamespaces": ["default"]}}]}]}
    objects = [
        policy("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}}, STRICT),
        policy("PeerAuthentication", "both", {"mtls": {"mode": "PERMISSIVE"}}, BOTH),
        policy("AuthorizationPolicy", "named", named, BOTH),
        policy("AuthorizationPolicy", "nobody", nobody, BOTH),
    ]
    snapshot = snapshot_of(load_yaml("\n---\n".join(map(json.dumps, objects))), MeshConfig())
    ports = [
        {"number": n, "name": f"p-{n}", "protocol": kind, "listenPort": n, "appPort": app.port}
        for n, kind in PORTS.items()
    ]
    views = [
        snapshot.view(
            read_proxy(
                {
                    "namespace": "default",
                    "ipAddresses": [one],
                    "labels": {"at": one},
                    "metadata": {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": ports},
                }
            )
        )
        for one in (STRICT, BOTH)
    ]
    with running(views, tmp_path_factory.mktemp("envoy"), (BOTH, SNIFFED), app=app) as found:
        yield found


def context(realm: Realm, identity: str | None = WEB, *alpn: str) -> ssl.SSLContext:
    """A client of the mesh that takes any version and cipher of TLS. identity: None shows no certificate."""
    realm.client(WEB, "istio")
    out = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out.check_hostname = False
    out.verify_mode = ssl.CERT_NONE
    if identity is not None:
        realm.client(identity, "istio")
        out.load_cert_chain(realm.folder / f"{identity.replace('/', '_')}.pem")
    if alpn:
        out.set_alpn_protocols(list(alpn))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out.minimum_version = ssl.TLSVersion.TLSv1
    out.set_ciphers("ALL:@SECLEVEL=0")
    return out


def reached(address: str, port: int, tls: ssl.SSLContext | None, first: bytes = b"") -> bool:
    """Whether the application answers. first: what is sent before everything else, in plaintext."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=20) as raw:
        raw.sendall(first)
        with tls.wrap_socket(raw, server_hostname="a") if tls else raw as connection:
            connection.sendall(GET)
            return connection.recv(100).startswith(b"HTTP/1.1 200")
    return False


@pytest.mark.parametrize("port", PORTS)
def test_who_belongs_gets_in(rig: Rig, port: int) -> None:
    for address in (STRICT, BOTH):
        assert reached(address, port, context(rig.realm, WEB, "istio-http/1.1" if port != TCP else "istio"))


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("address", [STRICT, BOTH])
def test_t37_old_versions_and_weak_ciphers(rig: Rig, address: str, port: int) -> None:
    alpn = "istio-http/1.1" if port != TCP else "istio"
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        old = context(rig.realm, WEB, alpn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            old.maximum_version = version
        assert not reached(address, port, old), version
    for cipher in (
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-ECDSA-NULL-SHA",
        "AES128-SHA",
        "AECDH-AES128-SHA",
        "ECDHE-ECDSA-AES256-CCM8",
        "PSK-AES128-CBC-SHA",
    ):
        weak = context(rig.realm, WEB, alpn)
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers(f"{cipher}:@SECLEVEL=0")
        assert not reached(address, port, weak), cipher
    modern = context(rig.realm, WEB, alpn)
    modern.maximum_version = ssl.TLSVersion.TLSv1_2
    assert reached(address, port, modern)


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    "alpn", [(), ("http/1.1",), ("h2", "http/1.1"), *((one,) for one in MESH_ALPN), ("x",)]
)
def test_t37_without_a_certificate_no_alpn_opens(rig: Rig, port: int, alpn: tuple[str, ...]) -> None:
    for address in (STRICT, BOTH):
        assert not reached(address, port, context(rig.realm, None, *alpn))


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\x16",
        b"\x16\x03\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"\x00",
        b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: TLS/1.2\r\n\r\n",
    ],
    ids=repr,
)
def test_t29_plaintext_is_nobody(rig: Rig, port: int, first: bytes) -> None:
    for address in (STRICT, BOTH):
        assert not reached(address, port, None, first)


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    "identity",
    [
        "evil.example/ns/default/sa/web",
        "cluster.local.evil.example/ns/default/sa/web",
        "clusterXlocal/ns/default/sa/web",
        "CLUSTER.LOCAL.x/ns/default/sa/web",
    ],
)
def test_t40_other_trust_domains(rig: Rig, port: int, identity: str) -> None:
    """Of the same root, which a federated mesh might share."""
    for address in (STRICT, BOTH):
        for alpn in (*MESH_ALPN, "h2"):
            assert not reached(address, port, context(rig.realm, identity, alpn))


@pytest.mark.parametrize("port", PORTS)
def test_t17_certificates_of_another_root(rig: Rig, port: int, tmp_path: Path) -> None:
    foreign = Realm(tmp_path)
    for address in (STRICT, BOTH):
        assert not reached(address, port, context(foreign, WEB, "istio"))


def test_t29_headers_are_no_certificate(rig: Rig) -> None:
    """x-forwarded-client-cert of a client in plaintext gives no name."""
    said = f'By=spiffe://{WEB};Hash=00;Subject="";URI=spiffe://{WEB}'
    for address in (STRICT, BOTH):
        for header in ("x-forwarded-client-cert", "X-Forwarded-Client-Cert", "x-client-cert", "x-spiffe-id"):
            request = f"GET / HTTP/1.1\r\nhost: a\r\n{header}: {said}\r\n\r\n".encode()
            with contextlib.suppress(ConnectionError):
                assert rig.http(address, HTTP, request, Caller()).status != 200


def test_t29_no_header_looks_like_a_certificate(rig: Rig) -> None:
    """Nor do servers that make variables of headers see two: what Envoy says, and what a client did."""
    names = ("x_forwarded_client_cert", "X-Forwarded_Client-Cert", "X_FORWARDED-CLIENT_CERT")
    said = f"By=spiffe://{WEB};URI=spiffe://cluster.local/ns/default/sa/root"
    written = "".join(f"{name}: {said}\r\n" for name in names)
    request = f"GET / HTTP/1.1\r\nhost: a\r\n{written}\r\n".encode()
    served = rig.http(STRICT, HTTP, request, Caller(WEB)).told["headers"]
    found = [value for name, value in served if name.replace("_", "-") == "x-forwarded-client-cert"]
    assert len(found) == 1
    assert "sa/root" not in found[0]
    assert f"URI=spiffe://{WEB}" in found[0]


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    ("called", "identity"),
    [
        ("a/ns/default/a/b/c", "cluster.local/ns/far/sa/liar-1"),
        ("ns/default/sa/web/b/c", "cluster.local/ns/far/sa/liar-2"),
        ("a/a/ns/default/sa/web", "cluster.local/ns/far/sa/liar-3"),
        ("a/b/c/d/e/f", "cluster.local/ns/ns/sa/default"),
    ],
)
def test_t31_what_a_workload_is_called_is_no_namespace(
    rig: Rig, port: int, called: str, identity: str
) -> None:
    """Envoy matches the subject too, where no name of the certificate fits: labels of the workload's own."""
    rig.realm.called[identity] = called
    for alpn in MESH_ALPN:
        assert not reached(BOTH, port, context(rig.realm, identity, alpn))
    assert reached(STRICT, port, context(rig.realm, identity, "istio-http/1.1" if port != TCP else "istio"))
