"""`proxyd intercept` on a machine: trials that end, what stays, what stops it before anything is changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from netns import PROXY_UID, Host, hosts, missing

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]
ENDS = Path(__file__).parents[1] / "packet_ends.py"
LONG = "600"
FIREWALLD = """
table inet firewalld {}
delete table inet firewalld
table inet firewalld {
  chain filter_INPUT {
    type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    tcp dport { 22, 15006 } accept
    iifname "eth0" tcp dport 9100 reject
  }
  chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept; }
}
"""
UFW = """
*filter
:ufw-before-input - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""
DOCKER = """
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 9200 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
COMMIT
"""
TOOLS = {
    "firewalld": (FIREWALLD, ("nft", "-f", "-"), ("inet firewalld",)),
    "ufw": (UFW, ("iptables-restore",), ("ip filter",)),
    "docker": (DOCKER, ("iptables-restore",), ("ip nat", "ip filter")),
}
"""Rules as these tools make them, what loads them (and replaces what they had), and the tables they have."""


class Machine:
    """One machine, and another that connects to it."""

    def __init__(self, folder: Path, host: Host, other: Host) -> None:
        self.folder, self.host, self.other = folder, host, other
        self.config = folder / "proxyd.yaml"
        self.settings = {
            "interception": "REDIRECT",
            "proxy_user": str(PROXY_UID),
            "intercept_dir": str(folder / "intercept"),
        }

    def intercept(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        self.config.write_text(yaml.safe_dump(self.settings))
        return self.host.proxyd("intercept", *arguments, "--config", str(self.config), env=env)

    def done(self, *arguments: str, **env: str) -> str:
        done = self.intercept(*arguments, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def reached(self, port: int) -> str:
        """The port that a connection from the other machine ends at."""
        asked = json.dumps([{"to": self.host.ipv4, "port": port, "protocol": "tcp"}])
        return str(json.loads(self.other.check(sys.executable, "-IS", str(ENDS), "probe", content=asked))[0])

    def state(self) -> str:
        return str(json.loads(self.done("status", "-o", "json"))["state"])

    def rules(self) -> str:
        return self.host.check("nft", "list", "ruleset") + self.host.check("ip", "-o", "addr", "show", "lo")


def wait(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("commands")
    with hosts(2) as (_, one, two):
        log = folder / "listen.log"
        ports = ("22", "2222", "8080", "9100", "15001", "15006")
        one.start(sys.executable, "-IS", str(ENDS), "listen", *ports, log=log)
        wait(lambda: "listening" in log.read_text())
        yield Machine(folder, one, two)


@pytest.fixture(autouse=True)
def clean(machine: Machine) -> Iterator[None]:
    before = machine.rules()
    yield
    machine.done("remove")
    assert machine.rules() == before


def test_a_trial_that_nobody_confirms_ends_and_live_connections_never_notice(machine: Machine) -> None:
    command = machine.other.argv([sys.executable, "-IS", str(ENDS), "talk", machine.host.ipv4, "8080"])
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as live:
        assert live.stdin
        assert live.stdout
        assert live.stdout.readline() == "8080\n"
        machine.done("apply", "--now", "--seconds", LONG, SSH_CONNECTION="10.0.0.9 4000 10.0.0.5 2222")
        assert [machine.reached(port) for port in (8080, 22, 2222)] == ["15006", "22", "2222"]
        assert machine.state() == "on trial"
        live.stdin.write("still here\n")
        live.stdin.flush()
        assert live.stdout.readline() == "still here\n"
        machine.done("apply", "--now", "--seconds", "1")
        wait(lambda: machine.reached(8080) == "8080")
        assert "artemon" not in machine.rules()
        live.stdin.write("and now\n")
        live.stdin.flush()
        assert live.stdout.readline() == "and now\n"
        live.stdin.close()
    wait(lambda: machine.state() == "none")
    assert machine.intercept("confirm").returncode == 1


def test_what_is_confirmed_outlives_reboots_and_trials(machine: Machine) -> None:
    machine.done("apply", "--now", "--seconds", LONG)
    machine.done("confirm")
    assert machine.state() == "confirmed"
    machine.host.check("nft", "delete", "table", "inet", "artemon")
    machine.host.check("ip", "-6", "addr", "del", "::6/128", "dev", "lo")
    assert (machine.reached(8080), machine.state()) == ("8080", "flushed")
    machine.done("apply", "--boot")
    assert machine.reached(8080) == "15006"
    machine.done("apply", "--now", "--seconds", LONG, "--exclude-inbound-ports", "9100")
    assert machine.reached(9100) == "9100"
    machine.done("apply", "--now", "--seconds", "1", "--exclude-inbound-ports", "9100")
    wait(lambda: machine.state() == "confirmed")
    assert machine.reached(9100) == "15006"


def test_a_proxy_that_is_not_ready_gets_no_connections(machine: Machine) -> None:
    before = machine.rules()
    refused = machine.intercept("apply")
    assert (refused.returncode, machine.rules()) == (1, before)
    assert "the proxy is not ready" in refused.stderr


def test_what_stops_it_is_said_and_nothing_is_changed(machine: Machine, tmp_path: Path) -> None:
    machine.host.check("iptables", "-t", "nat", "-N", "ISTIO_INBOUND")
    before = machine.rules()
    for arguments, said in (
        (("plan",), "Istio intercepts on this machine already"),
        (("apply", "--now"), "Istio intercepts on this machine already"),
    ):
        refused = machine.intercept(*arguments)
        assert (refused.returncode, machine.rules()) == (1, before)
        assert said in refused.stdout + refused.stderr
    machine.host.check("nft", "delete", "table", "ip", "nat")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "ip").symlink_to(shutil.which("ip") or "")
    refused = machine.host.run(
        "env", f"PATH={tools}", sys.executable, "-m", "proxyd", "intercept", "plan", "--config",
        str(machine.config), env={"PYTHONPATH": str(ENDS.parents[1])},
    )  # fmt: skip
    assert refused.returncode == 1
    assert "neither nft nor iptables works here" in refused.stdout
    (tmp_path / "file").write_text("")
    refused = machine.intercept("apply", "--now", "--intercept-dir", str(tmp_path / "file" / "below"))
    assert refused.returncode == 1
    assert str(tmp_path / "file") in refused.stderr
    assert "artemon" not in machine.rules()


@pytest.mark.parametrize("tool", TOOLS)
def test_rules_of_other_tools_stay_and_may_be_loaded_again(machine: Machine, tool: str) -> None:
    script, load, tables = TOOLS[tool]
    machine.host.check(*load, content=script)
    before = others(machine)
    assert before
    told = machine.done("plan")
    assert tool in told
    machine.done("apply", "--now", "--seconds", LONG)
    machine.done("confirm")
    assert (others(machine), machine.reached(8080), machine.reached(22)) == (before, "15006", "22")
    machine.host.check(*load, content=script)
    assert (others(machine), machine.reached(8080), machine.state()) == (before, "15006", "confirmed")
    machine.done("apply", "--now", "--seconds", "1", "--exclude-inbound-ports", "8080")
    wait(lambda: machine.state() == "confirmed")
    assert others(machine) == before
    machine.done("remove")
    assert others(machine) == before
    for table in tables:
        machine.host.check("nft", "delete", "table", *table.split())


def others(machine: Machine) -> list[str]:
    """All rules that are not ours, without counters."""
    listed = [line.split(maxsplit=1)[1] for line in machine.host.check("nft", "list", "tables").splitlines()]
    shown = (("nft", "-s", "list", "table", *one.split()) for one in listed if one != "inet artemon")
    return [machine.host.check(*command) for command in shown]
