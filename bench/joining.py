"""How long a machine of systemd takes to join, and to serve again after its power was cut.

`python -m bench.joining` (`make bench-join`). Needs root, nftables and systemd; the control plane runs on the
same machine, so that its work is in the figures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), *(str(TESTS / "e2e" / name) for name in ("machines", "proxyd"))]

from machine_daemons import JOINING, control_plane  # noqa: E402
from machine_site import ANSWER, NAMESPACE, PORT, wait  # noqa: E402
from netns import hosts, missing  # noqa: E402
from systemd_machine import SystemdMachine, missing_systemd  # noqa: E402

from bench.report import Figure, show  # noqa: E402

_WEB = f"""
[Service]
ExecStart={sys.executable} /root/application.py web {PORT}
[Install]
WantedBy=multi-user.target
"""
STATE = "/var/lib/artemon"


def _prepared(machine: SystemdMachine) -> list[str]:
    """What joins."""
    machine.check("tee", "/root/application.py", content=ANSWER)
    machine.check("tee", "/etc/systemd/system/web.service", content=_WEB)
    control_plane(machine)
    machine.check("systemctl", "enable", "--now", "web.service")
    machine.check("systemctl", "enable", *(f"artemon-{name}.service" for name in ("citadeld", *JOINING)))
    where = ("--server", f"https://{machine.host.ipv4}:15014", "--token-file", f"{STATE}/galleyd/admin.token")
    who = ("--service-account", "web", "--service", "web", "--port", f"http:{PORT}:HTTP", "-n", NAMESPACE)
    trust = ("--ca", f"{STATE}/citadeld/root-cert.pem", "--out", "/root/bundle.yaml")
    machine.check("meshctl", "vm", "bootstrap", *who, *where, *trust)
    own = ("--ip-address", machine.host.ipv4, "--exclude-inbound-ports", "15004,15012,15013,15014,15016")
    return ["proxyd", "join", "--bundle", "/root/bundle.yaml", *own]


def measure(machine: SystemdMachine) -> list[Figure]:
    """All figures."""
    machine.boot()
    command = _prepared(machine)
    began = time.monotonic()
    machine.check(*command)
    joined = time.monotonic() - began
    machine.power_off()
    machine.host.check("nft", "flush", "ruleset")
    machine.host.run("ip", "-6", "addr", "del", "::6/128", "dev", "lo")
    began = time.monotonic()
    machine.boot()
    booted = time.monotonic() - began
    switch = f"--net=/run/netns/{machine.host.name.rsplit('-', 1)[0]}-sw"
    curl = ["nsenter", switch, "curl", "-sf", "-m", "5", f"http://{machine.host.ipv4}:{PORT}/"]
    wait(
        lambda: not subprocess.run(curl, capture_output=True, check=False).returncode,
        lambda: "no answer",
        300,
    )
    return [
        Figure("proxyd join, to its last line (a request by mutual TLS)", joined, "s", goal=5),
        Figure("power back, to systemd's word that all runs", booted, "s"),
        Figure("power back, to the first request by the proxy", time.monotonic() - began, "s", goal=15),
    ]


def main() -> int:
    """Print the table; 1 with a line where it cannot be measured."""
    if reason := missing() or missing_systemd():
        print(f"not measured: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name, hosts(1) as (_, host):
        machine = SystemdMachine(Path(name), host)
        try:
            figures = measure(machine)
        finally:
            machine.clean()
    show("A machine of systemd with its own control plane", figures)
    print(
        f"load of the machine: {', '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} cores"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
