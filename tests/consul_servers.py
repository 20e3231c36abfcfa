"""Real Consul servers for tests: one, or a cluster with TLS on every path and ACLs that deny by default."""

from __future__ import annotations

import json
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from servers import ServerProcess, find_consul, free_ports

OFF = {"http": -1, "https": -1, "grpc": -1, "grpc_tls": -1, "dns": -1, "serf_wan": -1}
QUICK = {"performance": {"raft_multiplier": 1}, "session_ttl_min": "1s"}
"""A new leader in seconds, and leases as short as tests have time for."""


class Consul(ServerProcess):
    """One server. settings: laid over its configuration; context: how it is spoken to, where over TLS; token:
    of the operator, whose hand `call` is."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "s1",
        ports: Sequence[int] = (),
        settings: Mapping[str, Any] | None = None,
        context: ssl.SSLContext | None = None,
        token: str = "",
    ) -> None:
        super().__init__(folder)
        self.name, self.context, self.token = name, context, token
        self.port, self.rpc, self.serf = ports or free_ports(3)
        door = "https" if context else "http"
        listening = {door: self.port, "server": self.rpc, "serf_lan": self.serf}
        self._base = f"{door}://127.0.0.1:{self.port}"
        self._settings = {
            "node_name": name,
            "server": True,
            "bootstrap_expect": 1,
            "data_dir": str(folder / "data"),
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "disable_update_check": True,
            "log_level": "warn",
            "limits": {"http_max_conns_per_client": 1000},
            "ports": OFF | listening,
            **QUICK,
            **(settings or {}),
        }

    @property
    def target(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """For `open_store`."""
        return f"consul://{self.target}"

    def start(self, *, wait: bool = True) -> Consul:
        """Start the process; wait: until it serves."""
        config = self.folder / "agent.json"
        config.write_text(json.dumps(self._settings))
        self.launch(shutil.which(find_consul() or "consul") or "", "agent", "-config-file", str(config))
        if wait:
            self.wait_healthy()
        return self

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        """What one call answers. Raises OSError."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"X-Consul-Token": self.token if token is None else token}
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=5, context=self.context) as answer:
            text = answer.read()
        return json.loads(text) if text and not path.startswith("/v1/snapshot") else text

    def until(self, wanted: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        """Return when it is as wanted. Raises TimeoutError with the end of the log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if wanted():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"{self.name}: {what}: not in {seconds} s\n{self.said()}")

    def wait_healthy(self) -> None:
        """Return when it takes writes."""
        self.until(lambda: self.call("GET", "/v1/status/leader"), "a leader")
        self.until(lambda: self.call("PUT", "/v1/kv/artemon/.started", b""), "a write")

    def register(self, identity: str, name: str, port: int, **more: Any) -> None:
        """A service of this agent, with a check that the test decides."""
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
        """Take a service of this agent out."""
        self.call("PUT", f"/v1/agent/service/deregister/{identity}")


class Cluster:
    """Three servers. settings: laid over the configuration of each."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        tls: Callable[[str], Mapping[str, Any]] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        ports = {f"s{n}": free_ports(3) for n in (1, 2, 3)}
        join = [f"127.0.0.1:{three[2]}" for three in ports.values()]
        shared = {"bootstrap_expect": 3, "retry_join": join, "retry_interval": "1s", **(settings or {})}
        self.servers = [
            Consul(folder / name, name=name, ports=three, context=context, settings=shared | _tls(tls, name))
            for name, three in ports.items()
        ]

    @property
    def url(self) -> str:
        """For `open_store`."""
        return "consul://" + ",".join(server.target for server in self.servers)

    def start(self, *, token: str = "") -> Cluster:
        """Start all, and wait until each serves; on failure none is left."""
        try:
            for server in self.servers:
                server.token = token
                server.start(wait=False)
            for server in self.servers:
                server.wait_healthy()
            self.wait_voters()
        except BaseException:
            self.kill()
            raise
        return self

    def leader(self) -> Consul:
        """Who leads now."""
        found: list[Consul] = []

        def asked() -> bool:
            for server in self.servers:
                try:
                    port = str(server.call("GET", "/v1/status/leader")).rpartition(":")[2]
                except OSError:
                    continue
                found[:] = [one for one in self.servers if str(one.rpc) == port]
                return bool(found)
            return False

        self.servers[0].until(asked, "a leader")
        return found[0]

    def wait_voters(self) -> None:
        """Return when all vote: a server that came back does so only after a while, and a second death before
        would end the quorum."""

        def all_vote() -> bool:
            peers = self.leader().call("GET", "/v1/operator/raft/configuration")["Servers"]
            return {peer["Node"] for peer in peers if peer["Voter"]} == {one.name for one in self.servers}

        self.servers[0].until(all_vote, "three voters", 90)

    def kill(self) -> None:
        """End all."""
        for server in self.servers:
            server.kill()


def _tls(tls: Callable[[str], Mapping[str, Any]] | None, name: str) -> Mapping[str, Any]:
    return tls(name) if tls else {}
