"""A mesh by `meshctl up`, workloads that joined it with real Envoys, and a thief who uses their keys."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from patience import first_answer
from servers import dying_with_parent

SPACE = "shop"
PLAINTEXT = "ARTEMON_PILOTD_PLAINTEXT_LISTEN"
"""Where pilotd serves gRPC: a variable of its environment."""
SERVE, PROXY = 8443, 15002
PATIENCE = 60.0


class Hello(BaseHTTPRequestHandler):
    """Answers 200."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


def application(address: str) -> int:
    server = ThreadingHTTPServer((address, 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def tunnel(address: str) -> int:
    """A TCP server that sends back what it gets."""
    listening = socket.create_server((address, 0))

    def talk(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    def accept() -> None:
        while True:
            threading.Thread(target=talk, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listening.getsockname()[1])


@dataclass
class Workload:
    """One proxyd with its Envoy."""

    name: str
    address: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def identity(self) -> str:
        return f"spiffe://cluster.local/ns/{SPACE}/sa/{self.name}"

    def file(self, name: str) -> Path:
        return self.folder / "data" / name


def free_network() -> str:
    """The first three numbers of a loopback network in which nothing listens where a control plane would."""
    while True:
        net = f"127.{random.randint(100, 250)}.{random.randint(1, 250)}"
        with socket.socket() as probe:
            if probe.connect_ex((f"{net}.1", 15013)) != 0:
                return net


class Mesh:
    """The mesh and what is done to it. net: first three numbers of a loopback network of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.net, self.home = folder, free_network(), folder / "mesh"
        self.workloads: dict[str, Workload] = {}
        self.second: subprocess.Popen[bytes] | None = None
        self.environment = {
            **os.environ,
            "XDG_CONFIG_HOME": str(folder / "xdg"),
            "PYTHONPATH": os.getcwd(),
            **environment,
        }

    @property
    def control(self) -> str:
        return f"{self.net}.1"

    def meshctl(self, *arguments: str, stdin: str = "", code: int | None = 0, seconds: float = 240) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "meshctl", *arguments],
            input=stdin, capture_output=True, text=True, timeout=seconds, check=False, env=self.environment,
        )  # fmt: skip
        assert code is None or done.returncode == code, (done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def up(self) -> None:
        self.meshctl("up", "--dir", str(self.home), "--network", f"{self.net}.0/24")

    def second_citadel(self) -> str:
        """Another replica of citadeld, with the root of the first and keys of its own; where it listens."""
        first, home = self.home / "citadeld", self.folder / "citadel2"
        (home / "data").mkdir(parents=True, mode=0o700)
        for name in ("root-cert.pem", "root-key.pem"):
            (home / "data" / name).write_bytes((first / name).read_bytes())
            (home / "data" / name).chmod(0o600)
        settings = yaml.safe_load((self.home / "etc" / "citadeld.yaml").read_text())
        address = f"{self.net}.2"
        settings |= {
            "http": f"{address}:15113", "data_dir": str(home / "data"), "socket": str(home / "c.sock"),
            "listen": f"{address}:15013", "node": "second",
        }  # fmt: skip
        settings.pop("join_listen", None)
        (home / "citadeld.yaml").write_text(yaml.safe_dump(settings))
        with (home / "log").open("ab") as log:
            command = [sys.executable, "-m", "citadeld", "--config", str(home / "citadeld.yaml")]
            self.second = subprocess.Popen(
                dying_with_parent(*command), stdout=log, stderr=log, env=self.environment
            )
        self.eventually(lambda: fetch(address, 15113, "/readyz") == 200, "the second citadeld")
        return f"{address}:15013"

    def down(self) -> None:
        if self.second is not None:
            self.second.terminate()
            self.second.wait(20)
        for workload in self.workloads.values():
            if workload.process and workload.process.poll() is None:
                workload.process.terminate()
                workload.process.wait(20)
        self.meshctl("down", "--dir", str(self.home), code=None)

    def join(self, name: str, number: int, *, protocol: str = "", app: int = 0, **more: Any) -> Workload:
        """A workload; with `app`, it serves the service of its name."""
        folder = self.folder / name
        folder.mkdir()
        made = json.loads(
            self.meshctl("join-token", "create", "-n", SPACE, "--service-account", name, "-o", "json")
        )
        (folder / "token").write_text(made["token"])
        (folder / "token").chmod(0o600)
        address = f"{self.net}.{number}"
        port = {"name": "p", "number": SERVE, "protocol": protocol, "app_port": app}
        settings = {
            "data_dir": str(folder / "data"), "run_dir": str(folder / "run"), "node": name,
            "namespace": SPACE,
            "pilotd": [f"{self.control}:15012"], "citadeld": [f"{self.control}:15013"],
            "join_token_file": str(folder / "token"), "ca_pin": str(self.home / "root-cert.pem"),
            "service_account": name, "ip_address": address, "app_address": address, "bind_address": address,
            "http_proxy_port": PROXY, "labels": {"app": name}, "drain_seconds": 2,
            **({"service": name, "ports": [port]} if app else {}), **more,
        }  # fmt: skip
        (folder / "proxyd.yaml").write_text(yaml.safe_dump(settings))
        workload = self.workloads[name] = Workload(name, address, folder)
        self.start(workload)
        return workload

    def start(self, workload: Workload) -> None:
        command = dying_with_parent(
            sys.executable, "-m", "proxyd", "run", "--config", str(workload.folder / "proxyd.yaml")
        )
        with (workload.folder / "proxyd.log").open("ab") as log:
            workload.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)

    def apply(self, *objects: dict[str, Any]) -> str:
        return self.meshctl("apply", "-f", "-", "--wait", stdin=yaml.safe_dump_all(objects))

    def ready(self, *workloads: Workload) -> None:
        for one in workloads:
            self.eventually(lambda one=one: fetch(one.address, 15020, "/healthz/ready") == 200, one.name)

    def ask(self, client: Workload, service: str) -> int:
        """The status of a request through the client's proxy."""
        host = f"{service}.{SPACE}.svc.cluster.local"
        connection = http.client.HTTPConnection(
            client.address, PROXY, timeout=10, source_address=(client.address, 0)
        )
        try:
            connection.request("GET", f"http://{host}:{SERVE}/", headers={"Host": f"{host}:{SERVE}"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def eventually(self, look: Callable[[], Any], what: str) -> Any:
        def logs() -> str:
            paths = sorted(self.folder.glob("*/proxyd.log"))
            return "\n".join(f"--- {path}\n{path.read_text()[-2500:]}" for path in paths)

        return first_answer(look, what, logs, seconds=PATIENCE)


def fetch(address: str, port: int, path: str) -> int:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


class Thief:
    """Whoever copied a workload's key and certificate, and speaks TLS without any proxy."""

    def __init__(self, victim: Workload, version: ssl.TLSVersion, alpn: str = "istio-http/1.1") -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.minimum_version = self.context.maximum_version = version
        self.context.set_alpn_protocols([alpn])
        self.context.load_cert_chain(victim.file("cert-chain.pem"), victim.file("key.pem"))
        self.session: ssl.SSLSession | None = None

    def connect(self, server: Workload) -> ssl.SSLSocket:
        raw = socket.create_connection((server.address, SERVE), timeout=5)
        return self.context.wrap_socket(raw, server_hostname="echo", session=self.session)

    @staticmethod
    def get(connection: ssl.SSLSocket) -> int:
        """One request on a connection that stays open. Raises OSError."""
        connection.sendall(b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n")
        data = b""
        while b"hello" not in data:
            part = connection.recv(4096)
            if not part:
                raise ConnectionResetError(f"closed after {data!r}")
            data += part
        return int(data.split(b" ")[1])

    def once(self, server: Workload) -> int:
        """A new connection with one request; remembers the session."""
        with self.connect(server) as connection:
            status = self.get(connection)
            self.session = connection.session or self.session
            return status

    def is_refused(self, server: Workload) -> bool:
        try:
            self.once(server)
        except OSError:
            return True
        return False
