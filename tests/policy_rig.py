"""A real Envoy in front of a real server: many workloads with policies, and all kinds of clients."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from google.protobuf.json_format import MessageToDict
from policy_http2 import Http2, Pairs, Reply
from real_envoy import envoy
from servers import dying_with_parent, wait_listening

from artemon.snapshot.view import ProxyView
from artemon.translate import messages
from artemon.translate.bootstrap import Credentials, static_bootstrap
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES

ISSUER = "https://issuer.example"


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Realm:
    """A root of trust and certificates for identities."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.called: dict[str, str] = {}
        """Identity -> the user id in the subject of its certificates, where there is to be one."""
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
        self.root = self._sign(self._name, self._key, None).public_bytes(serialization.Encoding.PEM)
        (folder / "root.pem").write_bytes(self.root)

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, uri: str | None) -> x509.Certificate:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=uri is None, path_length=None), critical=True)
        )
        if uri is not None:
            made = made.add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
            )
        return made.sign(self._key, hashes.SHA256())

    def credentials(self, identity: str) -> Credentials:
        """A certificate for a SPIFFE ID without its scheme."""
        key = ec.generate_private_key(ec.SECP256R1())
        told = self.called.get(identity)
        attribute = (NameOID.USER_ID, told) if told else (NameOID.ORGANIZATION_NAME, "test")
        name = x509.Name([x509.NameAttribute(*attribute)])
        chain = self._sign(name, key, f"spiffe://{identity}").public_bytes(serialization.Encoding.PEM)
        return Credentials(chain=chain, key=pem(key), roots=self.root)

    def client(self, identity: str, alpn: str) -> ssl.SSLContext:
        """TLS as a sidecar of the mesh speaks it. alpn: protocols with commas."""
        known = self._contexts.get((identity, alpn))
        if known is not None:
            return known
        path = self.folder / f"{identity.replace('/', '_')}.pem"
        if not path.exists():
            made = self.credentials(identity)
            path.write_bytes(made.chain + made.key)
        out = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        out.check_hostname = False
        out.load_verify_locations(self.folder / "root.pem")
        out.load_cert_chain(path)
        out.set_alpn_protocols(alpn.split(","))
        self._contexts[identity, alpn] = out
        return out


class Issuer:
    """Signs tokens with ES256."""

    def __init__(self, kid: str = "1") -> None:
        self._key, self.kid = ec.generate_private_key(ec.SECP256R1()), kid

    @property
    def jwks(self) -> str:
        numbers = self._key.public_key().public_numbers()
        return json.dumps({"keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.kid,
            "x": _b64(numbers.x.to_bytes(32, "big")), "y": _b64(numbers.y.to_bytes(32, "big")),
        }]})  # fmt: skip

    def token(self, **claims: Any) -> str:
        return self.signed({}, {"iss": ISSUER, "exp": int(time.time()) + 3600, **claims})

    def signed(self, more: dict[str, Any], claims: dict[str, Any] | bytes) -> str:
        """A token with these claims and nothing else, and a header with more than it needs."""
        header = {"alg": "ES256", "kid": self.kid, "typ": "JWT", **more}
        body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        signed = ".".join(_b64(part) for part in (json.dumps(header).encode(), body))
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class App:
    """A server that answers each request with what it was asked: request line and headers, as JSON."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._listening = socket.create_server((address, 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as lines:
            while line := lines.readline():
                headers = []
                while (header := lines.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode("latin-1").partition(":")
                    headers.append([name.lower(), value.strip()])
                length = int(dict(headers).get("content-length", 0))
                body = lines.read(length).decode("latin-1")
                told = {"line": line.decode("latin-1").strip(), "headers": headers, "body": body}
                connection.sendall(self.answer(told))

    def answer(self, told: dict[str, Any]) -> bytes:
        """The response to a request."""
        body = json.dumps(told).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
            len(body), body)  # fmt: skip

    def close(self) -> None:
        self._listening.close()


@dataclass
class Answer:
    """What a client got; status 0: the connection was closed. headers: names in lower case."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Caller:
    """Who connects. identity: of its certificate, None speaks plaintext. source: its address."""

    identity: str | None = None
    source: str = "127.0.0.1"


@dataclass
class Rig:
    """A running Envoy."""

    realm: Realm
    app: App
    _kept: dict[tuple[Any, ...], socket.socket] = field(default_factory=dict)
    _streams: dict[tuple[Any, ...], Http2] = field(default_factory=dict)

    def connect(self, address: str, port: int, caller: Caller, alpn: str) -> socket.socket:
        raw = socket.create_connection((address, port), timeout=20, source_address=(caller.source, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if caller.identity is None:
            return raw
        return self.realm.client(caller.identity, alpn).wrap_socket(raw)

    def http(self, address: str, port: int, request: bytes, caller: Caller | None = None) -> Answer:
        """One request over HTTP/1.1, written as it is."""
        who = caller or Caller()
        key = (address, port, who.identity, who.source)
        known = self._kept.pop(key, None)
        for connection in filter(None, (known, None)):
            with suppress(OSError):
                return self._ask(connection, request, key)
        return self._ask(self.connect(address, port, who, "istio-http/1.1"), request, key)

    def _ask(self, connection: socket.socket, request: bytes, key: tuple[Any, ...]) -> Answer:
        connection.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                if not head:
                    raise ConnectionResetError
                break
            head += part
        head, _, body = head.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines[1:])
        headers = {name.lower(): value for name, _, value in pairs}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        if headers.get("connection", "").lower() == "close":
            connection.close()
        else:
            self._kept[key] = connection
        return Answer(int(lines[0].split()[1]), body, headers)

    def http2(self, address: str, port: int, headers: Pairs, caller: Caller, body: bytes = b"") -> Reply:
        """One request over HTTP/2, headers written as they are."""
        key = (address, port, caller.identity, caller.source)
        if key not in self._streams:
            self._streams[key] = Http2(lambda: self.connect(address, port, caller, "istio-h2,h2"))
        return self._streams[key].ask(headers, body)

    def tcp(self, address: str, port: int, caller: Caller | None = None) -> bool:
        """Whether bytes get through."""
        try:
            with self.connect(address, port, caller or Caller(), "istio") as connection:
                connection.sendall(b"GET /tcp HTTP/1.1\r\nhost: a\r\n\r\n")
                return connection.recv(100).startswith(b"HTTP/1.1 200")
        except (ConnectionError, ssl.SSLError):
            return False

    def close(self) -> None:
        """Hang up on all connections."""
        for connection in (*self._kept.values(), *self._streams.values()):
            connection.close()
        self._kept.clear()
        self._streams.clear()


@contextmanager
def running(views: Iterable[ProxyView], folder: Path, ready: tuple[str, int], *, app: App) -> Iterator[Rig]:
    """One Envoy with the listeners of many workloads; clusters of one name must be equal."""
    realm, many = Realm(folder), list(views)
    found = [messages(view) for view in many]
    clusters = {
        name: one for each in found for name, one in each[CLUSTER].items() if isinstance(one, Cluster)
    }
    made = static_bootstrap(
        many[0].proxy,
        listeners=_listeners(found),
        clusters=clusters.values(),
        routes={name: one for each in found for name, one in each[ROUTES].items()},
        endpoints={name: one for each in found for name, one in each[ENDPOINTS].items()},
        credentials=realm.credentials("cluster.local/ns/default/sa/server"),
    )
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(MessageToDict(made)))
    command = [str(envoy()), "-c", str(path), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    command += ["--file-flush-interval-msec", "100"]
    process = subprocess.Popen(dying_with_parent(*command))
    rig = Rig(realm, app)
    try:
        _wait(ready, process)
        yield rig
    finally:
        rig.close()
        process.kill()
        process.wait()
        app.close()


def _listeners(found: Iterable[Mapping[str, Mapping[str, Any]]]) -> list[Listener]:
    """All of them, each with a name of its own: gateways name theirs by port alone."""
    out: dict[str, Listener] = {}
    for each in found:
        for one in each[LISTENER].values():
            if one.name in out:
                one.name = f"{one.name}_{len(out)}"
            out[one.name] = one
    return list(out.values())


def _wait(ready: tuple[str, int], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(ready, timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("Envoy does not listen")


__all__ = ["ISSUER", "Answer", "App", "Caller", "Issuer", "Realm", "Rig", "running", "wait_listening"]
