"""How fast a ban is in force on real proxies: `make revocations ROUNDS=20` prints it."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_envoy import envoy
from trust_mesh import SPACE, Mesh, Thief, Workload, application

from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_options import IdentityOptions
from artemon.log import Log
from artemon.pki.spiffe import SpiffeId

ROUNDS = int(os.environ.get("ARTEMON_REVOCATIONS", "0"))
SERVERS = 4
LONGEST = 60.0
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not ROUNDS, reason="measures only when asked to: make revocations"),
]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    envoy()
    made = Mesh(tmp_path_factory.mktemp("speed"))
    try:
        made.up()
        for number in range(SERVERS):
            address = f"{made.net}.{20 + number}"
            made.join(f"server{number}", 20 + number, protocol="HTTP", app=application(address))
        made.ready(*made.workloads.values())
        made.apply(
            {
                "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
                "metadata": {"name": "default", "namespace": SPACE}, "spec": {"mtls": {"mode": "STRICT"}},
            }
        )  # fmt: skip
        yield made
    finally:
        made.down()


def guest(mesh: Mesh, number: int) -> Workload:
    """An identity of its own, with a certificate on disk and no proxy."""
    name = f"guest{number}"
    said = mesh.meshctl("join-token", "create", "-n", SPACE, "--service-account", name, "-o", "json")
    one = Workload(name, "", mesh.folder / name)
    one.folder.mkdir()
    (one.folder / "token").write_text(json.loads(said)["token"])
    (one.folder / "token").chmod(0o600)
    options = IdentityOptions(
        one.folder / "data",
        SpiffeId("cluster.local", SPACE, name),
        (f"{mesh.control}:15013",),
        join_token_file=str(one.folder / "token"),
        ca_pin=str(mesh.home / "root-cert.pem"),
    )
    asyncio.run(IdentityKeeper(options, Log("guest")).start())
    return one


class Watch(threading.Thread):
    """Looks at one server until new connections are refused, and until the open one is of no use."""

    def __init__(self, thief: Thief, server: Workload) -> None:
        super().__init__(daemon=True)
        self._thief, self._server, self._open = thief, server, thief.connect(server)
        assert thief.get(self._open) == 200
        self.refused = self.closed = 0.0

    def run(self) -> None:
        end = time.monotonic() + LONGEST
        while time.monotonic() < end and not (self.refused and self.closed):
            if not self.refused and self._thief.is_refused(self._server):
                self.refused = time.monotonic()
            if not self.closed and not self._is_good():
                self.closed = time.monotonic()
            time.sleep(0.02)

    def _is_good(self) -> bool:
        try:
            return self._thief.get(self._open) == 200
        except (OSError, ValueError, IndexError):
            return False


def share(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def test_bans_are_in_force_everywhere(mesh: Mesh) -> None:
    servers = [mesh.workloads[f"server{number}"] for number in range(SERVERS)]
    fresh: list[float] = []
    standing: list[float] = []
    for number in range(ROUNDS):
        one = guest(mesh, number)
        thief = Thief(one, ssl.TLSVersion.TLSv1_3)
        watches = [Watch(thief, server) for server in servers]
        for watch in watches:
            watch.start()
        command = [sys.executable, "-m", "meshctl", "certificate", "revoke", "--identity", one.identity]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=mesh.environment)
        for watch in watches:
            watch.join(LONGEST)
            assert watch.refused, f"still let in after {LONGEST} s: {done.stderr}"
            assert watch.closed, f"still served after {LONGEST} s: {done.stderr}"
            fresh.append(watch.refused - began)
            standing.append(watch.closed - began)
    load = Path("/proc/loadavg").read_text().split()[0]
    for what, values in (("new connections refused", fresh), ("open HTTP connections of no use", standing)):
        sys.stdout.write(
            f"\n{what}, from the start of the command, {ROUNDS} bans on {SERVERS} proxies (load {load}): "
            f"p50 {share(values, 0.5):.2f} s, p99 {share(values, 0.99):.2f} s, most {max(values):.2f} s"
        )
    sys.stdout.write("\n")
