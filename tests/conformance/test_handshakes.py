"""Certificates as citadeld issues them, in handshakes both ways: Envoy, curl, OpenSSL, Python and Go, with
keys of every type."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from policy_rig import App
from real_envoy import bootstrap_of, envoy
from servers import dying_with_parent

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.pki.certificate import Authority, Leaf, chain_pem, make_intermediate, make_leaf, make_root
from artemon.pki.keys import KeyType, generate_key, private_pem
from artemon.pki.spiffe import SpiffeId
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate.bootstrap import Credentials
from citadeld.keyfiles import new_serial

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.timeout(300)]
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
ENVOY, VIP, OTHER = "127.6.9.1", "127.6.9.2", "127.6.9.3"
IN, OUT = 18097, 18098
SERVER, CLIENT = (SpiffeId("cluster.local", "default", name) for name in ("server", "client"))
OBJECTS = [
    {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "istio-system"}, "spec": {"mtls": {"mode": "STRICT"}},
    },
    {
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "other", "namespace": "default"},
        "spec": {
            "hosts": ["other.default.svc.cluster.local"], "addresses": [VIP], "location": "MESH_INTERNAL",
            "ports": [{"number": OUT, "name": "http", "protocol": "HTTP"}], "resolution": "STATIC",
            "subjectAltNames": [str(CLIENT)],
            "endpoints": [{"address": OTHER, "labels": {"security.istio.io/tlsMode": "istio"}}],
        },
    },
    {
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": "default"},
        "spec": {"egress": [
            {"port": {"number": OUT, "name": "http", "protocol": "HTTP"}, "bind": VIP, "hosts": ["./*"]},
        ]},
    },
]  # fmt: skip


class Folder:
    """What one party holds: chain.pem, key.pem, root.pem."""

    def __init__(self, path: Path, inner: Authority, identity: SpiffeId, kind: KeyType) -> None:
        path.mkdir()
        self.path, key = path, generate_key(kind)
        wanted = Leaf(identity, key.public_key(), timedelta(hours=1), ("localhost", ENVOY, OTHER))
        leaf = make_leaf(wanted, inner, serial=new_serial(), now=NOW)
        self.chain, self.key = chain_pem([leaf, inner.certificate]), private_pem(key)
        self.roots = chain_pem([inner.root])
        for name, content in (("chain", self.chain), ("key", self.key), ("root", self.roots)):
            (path / f"{name}.pem").write_bytes(content)

    def context(self, side: ssl._SSLMethod) -> ssl.SSLContext:
        out = ssl.SSLContext(side)
        out.load_cert_chain(self.path / "chain.pem", self.path / "key.pem")
        out.load_verify_locations(self.path / "root.pem")
        out.verify_mode = ssl.CERT_REQUIRED
        return out

    def run(self, *command: str | Path, stdin: str = "") -> str:
        done = subprocess.run(
            [str(one) for one in command],
            cwd=self.path, input=stdin, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return done.stdout + done.stderr


def inner_of(kind: KeyType) -> Authority:
    key, inner = generate_key(kind), generate_key(kind)
    root = make_root(key, "cluster.local", serial=new_serial(), now=NOW, lifetime=30 * DAY)
    certificate = make_intermediate(
        inner.public_key(),
        Authority(root, key),
        "cluster.local",
        serial=new_serial(),
        now=NOW,
        lifetime=10 * DAY,
    )
    return Authority(certificate, inner, (root,))


@contextmanager
def proxied(folder: Path, mine: Folder) -> Iterator[None]:
    """An Envoy with the server's certificate: STRICT before an application, and a client of the other."""
    app = App()
    port = {"number": IN, "name": "in", "protocol": "HTTP", "listenPort": IN, "appPort": app.port}
    proxy = {
        "namespace": "default", "ipAddresses": [ENVOY], "labels": {"app": "server"},
        "metadata": {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": [port]},
    }  # fmt: skip
    objects = load_yaml("\n---\n".join(map(json.dumps, OBJECTS)))
    view = snapshot_of(objects, MeshConfig()).view(read_proxy(proxy))
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(bootstrap_of(view, Credentials(mine.chain, mine.key, mine.roots))))
    command = [str(envoy()), "-c", str(path), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    process = subprocess.Popen(dying_with_parent(*command))
    try:
        listening(ENVOY, IN)
        yield
    finally:
        process.kill()
        process.wait()
        app.close()


def listening(address: str, port: int) -> None:
    end = time.monotonic() + 60
    while True:
        with suppress(OSError):
            socket.create_connection((address, port), timeout=1).close()
            return
        assert time.monotonic() < end, f"nobody listens on {address}:{port}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def gopher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in Go, built once."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not Path(go).exists():
        pytest.skip("needs go")
    built = tmp_path_factory.mktemp("go") / "handshake"
    source = Path(__file__).with_name("handshake.go")
    subprocess.run([go, "build", "-o", built, source], check=True, timeout=200)
    return built


@pytest.mark.go
@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_others_and_envoy_take_each_others_certificates(tmp_path: Path, gopher: Path, kind: KeyType) -> None:
    inner = inner_of(kind)
    mine = Folder(tmp_path / "server", inner, SERVER, kind)
    theirs = Folder(tmp_path / "client", inner, CLIENT, kind)
    stranger = Folder(tmp_path / "stranger", inner_of("p256"), CLIENT, "p256")
    stranger.path.joinpath("root.pem").write_bytes(theirs.roots)
    where = f"{ENVOY}:{IN}"
    with proxied(tmp_path, mine):
        for one, good in ((theirs, True), (stranger, False)):
            curl = one.run(
                *("curl", "-sS", "--http1.1", "--no-alpn", "--cert", "chain.pem", "--key", "key.pem"),
                *("--cacert", "root.pem", "-w", "%{http_code}", f"https://{where}/"),
            )
            assert curl.endswith("200") is good, curl
            said = one.run(gopher, "client", where, str(SERVER))
            assert ("200 OK" in said) is good, said
            said = one.run(
                *("openssl", "s_client", "-connect", where, "-cert", "chain.pem", "-key", "key.pem"),
                *("-cert_chain", "chain.pem", "-CAfile", "root.pem", "-verify_return_error", "-quiet"),
                *("-alpn", "istio-http/1.1", "-ign_eof"),
                stdin="GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            )
            assert ("200 OK" in said) is good, said
            assert asked_by_python(one) is good
        said = theirs.run(gopher, "client", where, str(CLIENT))
        assert "refused: the server is" in said, "whoever is called is asked who it is"
        server = subprocess.Popen(dying_with_parent(str(gopher), "server", f"{OTHER}:{OUT}"), cwd=theirs.path)
        try:
            listening(OTHER, OUT)
            assert through_envoy() == f"caller {SERVER}"
        finally:
            server.kill()
            server.wait()
        server = subprocess.Popen(dying_with_parent(str(gopher), "server", f"{OTHER}:{OUT}"), cwd=mine.path)
        try:
            listening(OTHER, OUT)
            assert "caller" not in through_envoy(), "Envoy goes to nobody else than it was told"
        finally:
            server.kill()
            server.wait()


def asked_by_python(one: Folder) -> bool:
    """Whether Python's client, which checks the server's name too, gets an answer."""
    connection = http.client.HTTPSConnection(
        ENVOY, IN, context=one.context(ssl.PROTOCOL_TLS_CLIENT), timeout=20
    )
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def through_envoy() -> str:
    """What the other answers to a request in plaintext that the proxy takes on."""
    connection = http.client.HTTPConnection(VIP, OUT, timeout=20)
    try:
        connection.request("GET", "/", headers={"Host": f"other.default.svc.cluster.local:{OUT}"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()
