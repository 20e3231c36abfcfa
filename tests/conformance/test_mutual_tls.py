"""Mutual TLS before real servers: who is let in at each level of PeerAuthentication, with which versions,
and that certificates that have expired open and resume nothing."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from policy_rig import App, Caller, Rig, pem, running

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(600)]
HTTP, LAX, OFF, TCP = 18090, 18091, 18092, 18093
"""Ports: LAX and OFF have levels of their own where `ports` are."""
DEFAULT, NAMESPACE, STRICT, DISABLED, PORTS, NEW = (f"127.6.7.{n}" for n in range(1, 7))
PEER = "cluster.local/ns/default/sa/peer"
TRIES = 250
ONLY = {"tls12": ssl.TLSVersion.TLSv1_2, "tls13": ssl.TLSVersion.TLSv1_3}


def peers(name: str, namespace: str, mode: str, app: str = "", **ports: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"mtls": {"mode": mode}}
    if app:
        spec["selector"] = {"matchLabels": {"app": app}}
    if ports:
        spec["portLevelMtls"] = {port[1:]: {"mode": level} for port, level in ports.items()}
    meta = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": meta,
        "spec": spec,
    }


OBJECTS = [
    peers("default", "istio-system", "STRICT"),
    peers("default", "lax", "PERMISSIVE"),
    peers("strict", "lax", "STRICT", "strict"),
    peers("off", "lax", "DISABLE", "off"),
    peers("ports", "lax", "STRICT", "ports", **{f"p{LAX}": "PERMISSIVE", f"p{OFF}": "DISABLE"}),
]
WORKLOADS = {
    DEFAULT: ("default", "any"),
    NAMESPACE: ("lax", "any"),
    STRICT: ("lax", "strict"),
    DISABLED: ("lax", "off"),
    PORTS: ("lax", "ports"),
}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    app = App()
    objects = load_yaml("\n---\n".join(map(json.dumps, OBJECTS)))
    kinds = {HTTP: "HTTP", LAX: "HTTP", OFF: "HTTP", TCP: "TCP"}
    ports = [
        {"number": port, "name": f"p{port}", "protocol": kind, "listenPort": port, "appPort": app.port}
        for port, kind in kinds.items()
    ]

    def view(mesh: dict[str, Any], address: str, namespace: str, label: str) -> Any:
        proxy = {
            "namespace": namespace, "ipAddresses": [address], "labels": {"app": label},
            "metadata": {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": ports},
        }  # fmt: skip
        return snapshot_of(objects, MeshConfig.model_validate(mesh)).view(read_proxy(proxy))

    views = [view({}, address, *where) for address, where in WORKLOADS.items()]
    views.append(view({"meshMTLS": {"minProtocolVersion": "TLSV1_3"}}, NEW, "default", "any"))
    with running(views, tmp_path_factory.mktemp("envoy"), (NEW, TCP), app=app) as found:
        yield found


REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def let_in(rig: Rig, address: str, port: int, identity: str | None) -> bool:
    """Whether a request gets through, with this identity or in plaintext."""
    with suppress(OSError):
        if port == TCP:
            return rig.tcp(address, port, Caller(identity))
        return rig.http(address, port, REQUEST, Caller(identity)).status == 200
    return False


@pytest.mark.parametrize(
    ("address", "port", "plaintext", "mutual"),
    [
        pytest.param(DEFAULT, HTTP, False, True, id="mesh-http"),
        pytest.param(DEFAULT, TCP, False, True, id="mesh-tcp"),
        pytest.param(NAMESPACE, HTTP, True, True, id="namespace-http"),
        pytest.param(NAMESPACE, TCP, True, True, id="namespace-tcp"),
        pytest.param(STRICT, HTTP, False, True, id="workload-strict-http"),
        pytest.param(STRICT, TCP, False, True, id="workload-strict-tcp"),
        pytest.param(DISABLED, HTTP, True, False, id="workload-off-http"),
        pytest.param(DISABLED, TCP, True, None, id="workload-off-tcp"),
        pytest.param(PORTS, HTTP, False, True, id="beside-the-ports"),
        pytest.param(PORTS, LAX, True, True, id="port-permissive"),
        pytest.param(PORTS, OFF, True, False, id="port-off"),
    ],
)
def test_every_level_lets_in_whom_it_says(
    rig: Rig, address: str, port: int, plaintext: bool, mutual: bool | None
) -> None:
    """mutual: None where nobody would answer, for the application waits for the end of a line."""
    assert let_in(rig, address, port, None) == plaintext
    assert mutual is None or let_in(rig, address, port, PEER) == mutual
    rig.close()


@pytest.mark.parametrize("port", [HTTP, TCP])
def test_identities_of_others_are_not_let_in(rig: Rig, port: int) -> None:
    assert not let_in(rig, DEFAULT, port, "other.example/ns/default/sa/peer")
    assert not let_in(rig, DEFAULT, port, "cluster.local.evil/ns/default/sa/peer")


def context(folder: Path, name: str, chain: bytes, key: bytes) -> ssl.SSLContext:
    """A client of any version and cipher."""
    path = folder / f"{name}.pem"
    path.write_bytes(chain + key)
    out = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out.check_hostname, out.verify_mode = False, ssl.CERT_NONE
    out.set_ciphers("ALL:@SECLEVEL=0")
    out.minimum_version = ssl.TLSVersion.TLSv1
    out.load_cert_chain(path)
    out.set_alpn_protocols(["istio-http/1.1"])
    return out


class Client:
    """Connects with one certificate and tries to resume its last session."""

    def __init__(self, made: ssl.SSLContext, version: ssl.TLSVersion) -> None:
        made.minimum_version = made.maximum_version = version
        self._context, self.session, self.resumed = made, None, 0

    def ask(self, address: str, *, resume: bool = False) -> bool:
        """Whether a request gets through."""
        session = self.session if resume else None
        try:
            raw = socket.create_connection((address, HTTP), timeout=20)
            with self._context.wrap_socket(raw, session=session) as connection:
                connection.sendall(REQUEST)
                if not connection.recv(100).startswith(b"HTTP/1.1 200"):
                    return False
                self.resumed += bool(connection.session_reused)
                self.session = connection.session or self.session
                return True
        except OSError:
            return False


@pytest.mark.parametrize(
    ("address", "oldest"),
    [
        pytest.param(DEFAULT, ssl.TLSVersion.TLSv1_2, id="unless-told-otherwise"),
        pytest.param(NEW, ssl.TLSVersion.TLSv1_3, id="minProtocolVersion"),
    ],
)
def test_versions_below_the_least_are_refused(
    rig: Rig, tmp_path: Path, address: str, oldest: ssl.TLSVersion
) -> None:
    made = rig.realm.credentials(PEER)
    for version in (
        ssl.TLSVersion.TLSv1,
        ssl.TLSVersion.TLSv1_1,
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.TLSv1_3,
    ):
        client = Client(context(tmp_path, "client", made.chain, made.key), version)
        assert client.ask(address) == (version >= oldest), version


def short_lived(rig: Rig, seconds: float) -> tuple[bytes, bytes, datetime]:
    """A certificate of the realm that ends so soon: chain, key, and when."""
    key, end = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC) + timedelta(seconds=seconds)
    builder = x509.CertificateBuilder(
        rig.realm._name,
        x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "test")]),
        key.public_key(),
        x509.random_serial_number(),
        end - timedelta(hours=1),
        end,
    ).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{PEER}")]), critical=False
    )
    made = builder.sign(rig.realm._key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM), pem(key), made.not_valid_after_utc


def admitted(rig: Rig, folder: Path, version: ssl.TLSVersion) -> tuple[Client, datetime]:
    """A client that got through while its certificate was good, twice, and when that ends."""
    for seconds in (3, 10, 30):  # a machine under load may need longer than the certificate lives
        chain, key, end = short_lived(rig, seconds)
        client = Client(context(folder, "short", chain, key), version)
        if client.ask(DEFAULT) and client.ask(DEFAULT, resume=True):
            return client, end
    raise AssertionError("a good certificate is not let in")


@pytest.mark.parametrize("name", ONLY)
def test_t16_an_expired_certificate_opens_and_resumes_nothing(rig: Rig, tmp_path: Path, name: str) -> None:
    client, end = admitted(rig, tmp_path, ONLY[name])
    assert client.resumed == 0, "sessions are not resumed, or they would outlive the certificate"
    while datetime.now(UTC) <= end + timedelta(seconds=1):
        time.sleep(0.2)
    accepted = [client.ask(DEFAULT, resume=resume) for resume in (False, True) for _ in range(TRIES)]
    assert len(accepted) == 2 * TRIES
    assert sum(accepted) == 0
    assert let_in(rig, DEFAULT, HTTP, PEER), "others still are"
