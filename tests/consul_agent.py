"""A real Consul server for tests: one process with a data directory, on loopback and free ports."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from servers import dying_with_parent, find_consul, free_ports

OFF = {"https": -1, "grpc": -1, "grpc_tls": -1, "dns": -1, "serf_wan": -1}


def binary() -> str:
    """Consul; skips the test where there is none."""
    found = find_consul()
    if found is None:
        pytest.skip("no Consul: run .ci/servers consul, or set ARTEMON_CONSUL")
    return found


class Consul:
    """One server. token: used by `call`, which is the operator's hand. more: further configuration."""

    def __init__(self, folder: Path, *, token: str = "", **more: Any) -> None:
        self.folder, self.token = folder, token
        self.port, server, serf = free_ports(3)
        folder.mkdir(parents=True, exist_ok=True)
        ports = OFF | {"http": self.port, "server": server, "serf_lan": serf}
        config = {
            "node_name": "c1",
            "server": True,
            "bootstrap_expect": 1,
            "data_dir": str(folder / "data"),
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "ports": ports,
            "disable_update_check": True,
            "performance": {"raft_multiplier": 1},
            **more,
        }
        (folder / "consul.json").write_text(json.dumps(config))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"consul://127.0.0.1:{self.port}"

    def start(self) -> Consul:
        command = dying_with_parent(binary(), "agent", "-config-file", str(self.folder / "consul.json"))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self.call("GET", "/v1/catalog/node/c1"):
                    return self
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError((self.folder / "log").read_text()[-2000:])

    def call(self, method: str, path: str, value: Any = None, *, token: str = "") -> Any:
        """Ask the HTTP API. Raises OSError."""
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method)
        if token or self.token:
            request.add_header("X-Consul-Token", token or self.token)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body.strip() else None

    def register(self, identity: str, name: str, port: int, **more: Any) -> None:
        """A service of the agent, with a check that the test decides."""
        body = {
            "ID": identity,
            "Name": name,
            "Port": port,
            "Address": "127.0.0.1",
            "Check": {"CheckID": f"check-{identity}", "TTL": "1h", "Status": "passing"},
            **more,
        }
        self.call("PUT", "/v1/agent/service/register", body)

    def check(self, identity: str, state: str) -> None:
        """pass, warn or fail."""
        self.call("PUT", f"/v1/agent/check/{state}/check-{identity}")

    def deregister(self, identity: str) -> None:
        self.call("PUT", f"/v1/agent/service/deregister/{identity}")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def wipe(self) -> None:
        """Remove what a stopped server stored."""
        shutil.rmtree(self.folder / "data")
