"""Real servers for tests, on loopback and free ports, that end with the test run."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("ARTEMON_SERVERS") or Path.home() / ".cache" / "artemon-servers")
_GIVEN: set[int] = set()
_CHANCE = random.SystemRandom()
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Which of the processes that share a test run this is."""


def find_etcd() -> str | None:
    """The etcd to test with: $ARTEMON_ETCD, on PATH, or what `.ci/servers` left in the cache."""
    found = os.environ.get("ARTEMON_ETCD") or shutil.which("etcd")
    return found or next((str(one) for one in sorted(CACHE.glob("etcd-*/etcd"), reverse=True)), None)


def find_etcdutl() -> str | None:
    """etcd's tool for backups: $ARTEMON_ETCDUTL, on PATH, or what `.ci/servers` left in the cache."""
    found = os.environ.get("ARTEMON_ETCDUTL") or shutil.which("etcdutl")
    return found or next((str(one) for one in sorted(CACHE.glob("etcdutl-*/etcdutl"), reverse=True)), None)


def find_consul() -> str | None:
    """The Consul to test with: $ARTEMON_CONSUL, on PATH, or what `.ci/servers` left in the cache."""
    found = os.environ.get("ARTEMON_CONSUL") or shutil.which("consul")
    return found or next((str(one) for one in sorted(CACHE.glob("consul-*/consul"), reverse=True)), None)


def find_envoy_before() -> Path | None:
    """An Envoy of another version than ours: $ARTEMON_ENVOY_BEFORE, or what `.ci/run` left in the cache."""
    found = [os.environ.get("ARTEMON_ENVOY_BEFORE"), *sorted(CACHE.glob("envoy-*/envoy/_bin/envoy"))]
    return next((Path(one) for one in found if one), None)


def find_helm() -> str | None:
    """The Helm to test with: $ARTEMON_HELM, on PATH, or what `.ci/servers` left in the cache."""
    found = os.environ.get("ARTEMON_HELM") or shutil.which("helm")
    return found or next((str(one) for one in sorted(CACHE.glob("helm-*/helm"), reverse=True)), None)


def find_opa() -> str | None:
    """The Open Policy Agent to test with: $ARTEMON_OPA, on PATH, or what `.ci/servers` left in the cache."""
    found = os.environ.get("ARTEMON_OPA") or shutil.which("opa")
    return found or next((str(one) for one in sorted(CACHE.glob("opa-*/opa"), reverse=True)), None)


def find_collector() -> str | None:
    """The OpenTelemetry Collector to test with: $ARTEMON_OTELCOL, or what `.ci/servers` left in the cache."""
    found = os.environ.get("ARTEMON_OTELCOL")
    return found or next((str(one) for one in sorted(CACHE.glob("otelcol-*/otelcol"), reverse=True)), None)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on: below those that the kernel gives to outgoing connections,
    which would take one back before its server has started; and none twice in a test run, whose workers have
    ports of their own."""
    found: list[int] = []
    while len(found) < count:
        port = _CHANCE.randrange(20_000, 32_000, _WORKERS) + WORKER
        if port in _GIVEN:
            continue
        _GIVEN.add(port)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    return found


def encoded(text: str | bytes) -> str:
    """As etcd's JSON gateway takes and gives keys and values."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def dying_with_parent(*command: str) -> list[str]:
    """`command`, to be killed when the thread that starts it ends, however it ends. (A `preexec_fn` would do
    the same, but forks a process that has gRPC's threads.)"""
    code = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-IS", "-c", code, *command]


def wait_listening(port: int) -> None:
    """Return when somebody listens. Raises OSError after 30 s."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class ServerProcess:
    """A server with a directory of its own, which may be killed and started again on its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def launch(self, *command: str) -> None:
        """Start the process; what it says goes to the log."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                dying_with_parent(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text()[-2000:]

    def signal(self, number: signal.Signals) -> None:
        """Stop, continue, or kill it."""
        assert self._process is not None
        self._process.send_signal(number)
        if number is signal.SIGKILL:
            self._process.wait()

    def kill(self) -> None:
        """As a crash."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)

    def wipe(self) -> None:
        """Remove what a stopped server stored."""
        shutil.rmtree(self.folder / "data")


class Etcd(ServerProcess):
    """One etcd process, a member of a cluster of `cluster` (name -> peer port)."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "e1",
        ports: Sequence[int] = (),
        cluster: dict[str, int] | None = None,
        tls: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(folder)
        self.name, self._tls, self._options = name, tls, options
        self.port, self._peer = ports or free_ports(2)
        self._cluster = cluster or {name: self._peer}

    @property
    def url(self) -> str:
        """For `open_store`."""
        return f"etcd://127.0.0.1:{self.port}"

    def start(self, *, port: int | None = None, wait: bool = True) -> Etcd:
        """Start the process; with `port`, clients find it only there this time."""
        client = f"{'https' if self._tls else 'http'}://127.0.0.1:{port or self.port}"
        peer = f"http://127.0.0.1:{self._peer}"
        binary = shutil.which(find_etcd() or "etcd") or ""
        members = ",".join(f"{name}=http://127.0.0.1:{number}" for name, number in self._cluster.items())
        self.launch(
            *(binary, "--name", self.name, "--data-dir", str(self.folder / "data")),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *self._tls,
            *self._options,
            *("--initial-cluster", members, "--unsafe-no-fsync", "--logger", "zap", "--log-level", "error"),
        )
        if wait and self._tls:
            wait_listening(self.port)
        elif wait:
            self.wait_healthy(port or self.port)
        return self

    def wait_healthy(self, port: int | None = None) -> None:
        """Return when it serves. Raises TimeoutError with the end of its log."""
        deadline = time.monotonic() + 30
        url = f"http://127.0.0.1:{port or self.port}/health"
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=1) as answer:
                    if b'"true"' in answer.read():
                        return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError(self.said())

    def gateway(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        """One call of etcd's JSON gateway. Raises OSError."""
        url = f"http://127.0.0.1:{self.port}/v3/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.loads(answer.read().splitlines()[0]))


def guard(
    ask: Callable[[str, dict[str, object]], object],
    secret: Callable[[str], dict[str, object]],
    perm: Mapping[str, str] | None = None,
) -> None:
    """From now on only `root` and `artemon` are let in, each by a role of its own, that of artemon with this
    right alone. secret: what a user is added with, by name."""
    for user in ("root", "artemon"):
        ask("auth/user/add", {"name": user, **secret(user)})
        ask("auth/role/add", {"name": user})
        ask("auth/user/grant", {"user": user, "role": user})
    if perm:
        ask("auth/role/grant", {"name": "artemon", "perm": perm})
    ask("auth/enable", {})


class EtcdCluster:
    """Three members."""

    def __init__(self, folder: Path, *, options: Sequence[str] = ()) -> None:
        self.folder, ports = folder, [free_ports(2) for _ in range(3)]
        self.peers = {f"e{n}": pair[1] for n, pair in enumerate(ports)}
        self.members = [
            Etcd(folder / name, name=name, ports=pair, cluster=self.peers, options=options)
            for name, pair in zip(self.peers, ports, strict=True)
        ]

    @property
    def url(self) -> str:
        """For `open_store`."""
        return "etcd://" + ",".join(f"127.0.0.1:{member.port}" for member in self.members)

    def start(self) -> EtcdCluster:
        """Start all, and wait until each serves; on failure none is left."""
        try:
            for member in self.members:
                member.start(wait=False)
            for member in self.members:
                member.wait_healthy()
        except BaseException:
            self.kill()
            raise
        return self

    def leader(self) -> Etcd:
        """Who leads now. Raises TimeoutError."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for member in self.members:
                try:
                    status = member.gateway("maintenance/status", {})
                except OSError:
                    continue
                if status.get("leader") == status["header"]["member_id"]:
                    return member
            time.sleep(0.05)
        raise TimeoutError("no leader in 30 s")

    def kill(self) -> None:
        """End all."""
        for member in self.members:
            member.kill()
