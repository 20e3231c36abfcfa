"""A control plane brought up by `meshctl up`, a gateway that joined it, and applications behind it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from gateway_certificates import Certificates, Issued
from patience import first_answer
from servers import dying_with_parent, free_ports

NETWORK, CONTROL, GATEWAY = "127.0.83.0/24", "127.0.83.1", "127.0.83.10"
SPACE = "edge"
PATIENCE = 30.0


class Echo(BaseHTTPRequestHandler):
    """Answers with its name and what it saw."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"server": self.server.told, **seen}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def application(name: str, certificate: tuple[Path, Path] | None = None) -> int:
    """An HTTP server (HTTPS with a certificate) on a free port of 127.0.0.1, as long as the test runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.told = name  # type: ignore[attr-defined]
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


@dataclass
class Answer:
    """What came back: status, body, headers, and the certificate that the gateway showed."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    shown: bytes = b""


class Site:
    """The mesh, its gateway and how to talk to both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "mesh"
        self.certificates = Certificates()
        self.proxyd: subprocess.Popen[bytes] | None = None
        self.ports: dict[int, int] = {}

    def meshctl(self, *arguments: str, stdin: str = "", code: int | None = 0) -> str:
        environment = {**os.environ, "XDG_CONFIG_HOME": str(self.folder / "xdg"), "PYTHONPATH": os.getcwd()}
        done = subprocess.run(
            [sys.executable, "-m", "meshctl", *arguments],
            input=stdin, capture_output=True, text=True, timeout=120, check=False, env=environment,
        )  # fmt: skip
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self, *numbers: int) -> None:
        """Bring the control plane up, and a gateway that opens each of these ports on a free one."""
        self.meshctl("up", "--dir", str(self.home), "--network", NETWORK)
        self.ports = dict(zip(numbers, free_ports(len(numbers)), strict=True))
        made = self.meshctl("join-token", "create", "-n", SPACE, "--service-account", "gateway", "-o", "json")
        (self.folder / "token").write_text(json.loads(made)["token"])
        (self.folder / "token").chmod(0o600)
        listed = [
            {"name": f"p{number}", "number": number, "protocol": "TCP", "listen_port": port}
            for number, port in self.ports.items()
        ]
        settings = {
            "data_dir": str(self.folder / "gateway"), "run_dir": str(self.folder / "run"),
            "pilotd": [f"{CONTROL}:15012"], "citadeld": [f"{CONTROL}:15013"],
            "join_token_file": str(self.folder / "token"), "ca_pin": str(self.home / "root-cert.pem"),
            "type": "router", "node": "gateway", "namespace": SPACE, "service_account": "gateway",
            "labels": {"istio": "edge"}, "ip_address": GATEWAY, "gateway_bind": GATEWAY, "ports": listed,
            "drain_seconds": 0,
        }  # fmt: skip
        (self.folder / "proxyd.yaml").write_text(yaml.safe_dump(settings))
        self.start()

    def start(self) -> None:
        command = dying_with_parent(
            sys.executable, "-m", "proxyd", "run", "--config", str(self.folder / "proxyd.yaml")
        )
        with (self.folder / "proxyd.log").open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": os.getcwd()}
            self.proxyd = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def down(self) -> None:
        if self.proxyd:
            self.proxyd.terminate()
            self.proxyd.wait(15)
        self.meshctl("down", "--dir", str(self.home), code=None)

    def apply(self, *objects: dict[str, Any], code: int = 0) -> str:
        return self.meshctl("apply", "-f", "-", "--wait", stdin=yaml.safe_dump_all(objects), code=code)

    def connect(
        self, port: int, host: str, *, client: tuple[Path, Path] | None = None, roots: bytes = b""
    ) -> ssl.SSLSocket:
        """A TLS connection to `port` of the gateway as `host`."""
        context = ssl.create_default_context(cadata=(roots or self.certificates.roots).decode())
        if client:
            context.load_cert_chain(*client)
        raw = socket.create_connection((GATEWAY, self.ports[port]), timeout=5)
        return context.wrap_socket(raw, server_hostname=host)

    def get(self, port: int, host: str, path: str = "/", *, tls: bool = True, **connect: Any) -> Answer:
        """One request. Raises OSError when the connection is refused or broken."""
        connection = http.client.HTTPConnection(GATEWAY, self.ports[port], timeout=5)
        shown = b""
        if tls:
            secured = self.connect(port, host, **connect)
            shown, connection.sock = secured.getpeercert(binary_form=True) or b"", secured
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        told = json.loads(body) if body.startswith(b"{") else body.decode()
        return Answer(answer.status, told, dict(answer.getheaders()), shown)

    def eventually(self, look: Callable[[], Any], what: str) -> Any:
        """The first true answer of `look`, whose connections may fail meanwhile."""
        log = self.folder / "proxyd.log"
        return first_answer(look, what, lambda: log.read_text()[-3000:], seconds=PATIENCE)


def refused(look: Callable[[], Any]) -> bool:
    """Whether the connection is not served."""
    try:
        look()
    except (OSError, http.client.HTTPException):
        return True
    return False


def resource(kind: str, name: str, space: str = SPACE, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": space}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def secret(name: str, issued: Issued | None, *, space: str = SPACE, roots: bytes = b"") -> dict[str, Any]:
    texts = {"tls.crt": issued.chain.decode(), "tls.key": issued.key.decode()} if issued else {}
    texts |= {"ca.crt": roots.decode()} if roots else {}
    meta = {"name": name, "namespace": space}
    kind = "kubernetes.io/tls" if issued else "Opaque"
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": kind, "stringData": texts}


def behind(host: str, port: int, protocol: str) -> dict[str, Any]:
    """An application that the gateway reaches under `host`."""
    return resource(
        "ServiceEntry", host.partition(".")[0], hosts=[host], location="MESH_EXTERNAL", resolution="STATIC",
        ports=[{"number": port, "name": "p", "protocol": protocol}], endpoints=[{"address": "127.0.0.1"}],
    )  # fmt: skip


def server(number: int, protocol: str, *hosts: str, **more: Any) -> dict[str, Any]:
    name = f"{protocol.lower()}-{number}-{hosts[0].partition('.')[0].strip('*') or 'all'}"
    return {"port": {"number": number, "name": name, "protocol": protocol}, "hosts": list(hosts), **more}
