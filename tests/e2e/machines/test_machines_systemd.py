"""A whole mesh by its units on a machine that systemd runs: join, a killed proxyd, flushed rules, a reboot,
leave."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine_daemons import control_plane, start
from machine_site import ANSWER, NAMESPACE, PORT, wait
from netns import hosts, missing
from systemd_machine import SystemdMachine, missing_systemd

REASON = missing() or missing_systemd()
pytestmark = [
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(REASON), reason=REASON or "-"),
]
APPLICATION = "/root/application.py"


@pytest.fixture
def machine() -> Iterator[SystemdMachine]:
    with tempfile.TemporaryDirectory() as name, hosts(1) as (_, one):
        made = SystemdMachine(Path(name), one)
        try:
            made.boot()
            yield made
        finally:
            made.clean()


def serve(machine: SystemdMachine) -> None:
    machine.check("tee", APPLICATION, content=ANSWER)
    machine.check("systemd-run", "--unit=web", "--quiet", sys.executable, APPLICATION, "web", str(PORT))


def test_units_keep_a_machine_in_the_mesh(machine: SystemdMachine) -> None:
    before = machine.check("nft", "list", "ruleset")
    serve(machine)
    control_plane(machine)
    where = (
        "--server",
        f"https://{machine.host.ipv4}:15014",
        "--ca",
        "/var/lib/artemon/citadeld/root-cert.pem",
    )
    admin = ("--token-file", "/var/lib/artemon/galleyd/admin.token")
    who = ("--service-account", "web", "--service", "web", "--port", f"http:{PORT}:HTTP", "-n", NAMESPACE)
    machine.check("meshctl", "vm", "bootstrap", *who, *where, *admin, "--out", "/root/bundle.yaml")
    own = ("--ip-address", machine.host.ipv4, "--exclude-inbound-ports", "15012,15013,15014,15016")
    joined = machine.run("proxyd", "join", "--bundle", "/root/bundle.yaml", *own)
    told = joined.stdout
    assert joined.returncode == 0, told + joined.stderr + journal(machine)
    assert "artemon-proxy.service is ready" in told
    assert "which answered HTTP 200" in told
    assert "artemon-intercept.service brings this back at boot" in told
    envoy = envoys(machine)
    machine.check("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "artemon-proxy.service")
    wait(lambda: active(machine) and restarts(machine) == 1, lambda: journal(machine))
    wait(lambda: envoys(machine) == envoy, lambda: f"{envoy} went on, alone: {envoys(machine)}")
    machine.check("nft", "flush", "ruleset")
    machine.check("systemctl", "restart", "artemon-intercept.service")
    assert "table inet artemon" in machine.check("nft", "list", "ruleset")
    machine.power_off()
    machine.host.check("nft", "flush", "ruleset")
    machine.host.check("ip", "-6", "addr", "del", "::6/128", "dev", "lo")
    machine.boot()
    assert "table inet artemon" in machine.check("nft", "list", "ruleset")
    serve(machine)
    for name in ("citadeld", "galleyd", "pilotd"):
        start(machine, f"artemon-{name}.service")
    wait(lambda: active(machine), lambda: journal(machine))
    wait(lambda: "which answered HTTP 200" in machine.run("proxyd", "check").stdout, lambda: journal(machine))
    machine.check("proxyd", "leave")
    assert machine.check("nft", "list", "ruleset") == before
    assert not active(machine)
    assert machine.run("ls", "/etc/artemon/proxyd.yaml", "/var/lib/artemon/proxyd").stdout == ""
    assert envoys(machine) == []


def active(machine: SystemdMachine) -> bool:
    return machine.run("systemctl", "is-active", "artemon-proxy.service").stdout.strip() == "active"


def restarts(machine: SystemdMachine) -> int:
    shown = machine.check("systemctl", "show", "-p", "NRestarts", "--value", "artemon-proxy.service")
    return int(shown)


def envoys(machine: SystemdMachine) -> list[int]:
    return [int(one) for one in machine.run("pgrep", "-x", "envoy").stdout.split()]


def journal(machine: SystemdMachine) -> str:
    out = machine.run("journalctl", "-u", "artemon-proxy.service", "-n", "50", "-o", "cat").stdout
    return json.dumps(out)
