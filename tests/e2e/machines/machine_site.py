"""A control plane on the switch, machines around it, and applications that know nothing of the mesh."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from meshlet import Ca
from netns import APP_UID, PROXY_UID, Host

from artemon.daemon.identity_files import save_identity
from artemon.daemon.identity_tls import server_name
from artemon.store.open import open_store

NAMESPACE = "shop"
PORT = 8080
ANSWER = """
import http.server, json, socket, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        peer = self.client_address[0].removeprefix("::ffff:")
        told = {"name": sys.argv[1], "path": self.path, "peer": peer,
                "caller": self.headers.get("x-forwarded-client-cert", "")}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
Server(("::", int(sys.argv[2])), Handler).serve_forever()
"""
"""An application that says who it is, and whom it sees."""


def wait(holds: Callable[[], Any], what: Callable[[], str], seconds: float = 60.0) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < end, f"not within {seconds} s: {what()}"
        time.sleep(0.05)
    return answer


class Control:
    """A pilotd on the switch, with identities that the test makes."""

    def __init__(self, folder: Path, switch: Host) -> None:
        self.folder, self.host, self.ca = folder, switch, Ca()
        self.address = f"{switch.ipv4}:15012"
        folder.mkdir(parents=True)
        save_identity(
            folder / "identity", self.ca.identity("artemon-system", "pilotd", server_name("pilotd"))
        )

    def strict(self) -> None:
        """Nobody in the namespace takes plaintext."""
        value = {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {"mtls": {"mode": "STRICT"}},
        }
        asyncio.run(self._write(f"config/peerauthentications/{NAMESPACE}/default", value))

    async def _write(self, key: str, value: dict[str, Any]) -> None:
        store = await open_store(f"sqlite://{self.folder / 'mesh.db'}")
        try:
            await store.put(f"artemon/default/{key}", json.dumps(value).encode())
        finally:
            await store.close()

    def start(self) -> None:
        settings = {
            "http": f"{self.host.ipv4}:15112",
            "listen": self.address,
            "registry": f"sqlite://{self.folder / 'mesh.db'}",
            "config_signatures": "off",
            "data_dir": str(self.folder / "data"),
            "identity_dir": str(self.folder / "identity"),
        }
        config = self.folder / "pilotd.yaml"
        config.write_text(yaml.safe_dump(settings))
        log = self.folder / "pilotd.log"
        self.host.start(sys.executable, "-m", "pilotd", "--config", str(config), log=log)
        url = f"http://{self.host.ipv4}:15112/readyz"
        wait(lambda: self.host.run("curl", "-sf", url).returncode == 0, log.read_text)


class Machine:
    """A host with an application and a proxy beside it."""

    def __init__(self, folder: Path, host: Host, control: Control, service: str, **settings: Any) -> None:
        self.folder, self.host, self.service = folder / service, host, service
        self.folder.mkdir(parents=True)
        self.log = self.folder / "proxyd.log"
        self.config = self.folder / "proxyd.yaml"
        data, run = self.folder / "data", self.folder / "run"
        save_identity(data, control.ca.identity(NAMESPACE, service))
        run.mkdir(mode=0o700)
        for path in (self.folder, data, run, *data.iterdir()):
            os.chown(path, PROXY_UID, PROXY_UID)
        port = {"name": "http", "number": PORT, "protocol": "HTTP"}
        self.settings: dict[str, Any] = {
            "node": service,
            "namespace": NAMESPACE,
            "service_account": service,
            "service": service,
            "ports": [port],
            "ip_address": host.ipv4,
            "data_dir": str(data),
            "run_dir": str(run),
            "intercept_dir": str(self.folder / "intercept"),
            "pilotd": [control.address],
            "proxy_user": str(PROXY_UID),
            "interception": "REDIRECT",
            "drain_seconds": 0,
            **settings,
        }

    def start(self) -> None:
        """The application, and proxyd as its own user."""
        self.config.write_text(yaml.safe_dump(self.settings))
        log = self.folder / "app.log"
        self.host.start(sys.executable, "-c", ANSWER, self.service, str(PORT), log=log, uid=APP_UID)
        caps = ("net_admin",) if self.settings["interception"] == "TPROXY" else ()
        command = (sys.executable, "-m", "proxyd", "run", "--config", str(self.config))
        self.host.start(*command, log=self.log, uid=PROXY_UID, caps=caps)

    def wait_ready(self) -> None:
        url = "http://127.0.0.1:15020/healthz/ready"
        wait(lambda: self.host.run("curl", "-sf", url).returncode == 0, self.log.read_text)

    def intercept(self, *arguments: str) -> str:
        """Output of `proxyd intercept ...`; it must succeed."""
        done = self.host.proxyd("intercept", *arguments, "--config", str(self.config))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, url: str, *options: str, uid: int = APP_UID) -> tuple[int, dict[str, Any]]:
        """Status and answer of a request that the application makes; (0, {}) when the connection fails."""
        command = ("curl", "-sg", "-m", "10", "-w", "\n%{http_code}", *options, url)
        out = self.host.run(*command, uid=uid).stdout
        body, _, status = out.rpartition("\n")
        try:
            return int(status), json.loads(body)
        except ValueError:
            return int(status or 0), {}

    def call(self, machine: Machine, *, ipv6: bool = False, port: int = PORT) -> tuple[int, dict[str, Any]]:
        """A request to another machine's service, by its address."""
        to = f"[{machine.host.ipv6}]" if ipv6 else machine.host.ipv4
        return self.get(f"http://{to}:{port}/", "-H", f"Host: {machine.service}.{NAMESPACE}:{port}")

    def stat(self, name: str) -> int:
        """The sum of Envoy's counters whose names contain `name`."""
        query = urllib.parse.quote(name)
        out = self.host.check("curl", "-s", f"http://127.0.0.1:15000/stats?filter={query}")
        return sum(
            int(line.rpartition(": ")[2]) for line in out.splitlines() if line.rpartition(": ")[2].isdigit()
        )
