"""docs/tasks/ansible.md on real machines of systemd: an inventory becomes a mesh, from packages alone, is
upgraded, and goes without a trace.

`make fleet` (MACHINES=5 or 2): five have three members of etcd and two control planes. Not a part of `make
test`: it takes minutes."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_fleet import Fleet
from debian_packages import build, missing_debian, newer
from fleet_applications import answers, applications, asked, ports, serve
from machine_site import PORT, wait
from netns import hosts, missing
from servers import find_etcd
from systemd_machine import missing_systemd
from task_page import run_page

REASON = missing() or missing_systemd() or missing_debian() or ("" if find_etcd() else "needs etcd")
pytestmark = [
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.etcd,
    pytest.mark.timeout(6 * 3600),
    pytest.mark.skipif(bool(REASON), reason=REASON or "-"),
]
HOURS = 3 * 3600
"""For one block of the page: on a machine that others use as well, only its end tells that it goes on."""
SIZE = int(os.environ.get("ARTEMON_FLEET") or 5)


def workload(namespace: str, name: str, *ports: dict[str, Any], **settings: Any) -> dict[str, Any]:
    own = {"namespace": namespace, "service_account": name, "service": name, "ports": list(ports)}
    return {"artemon_workload": own | settings}


Groups = dict[str, dict[str, dict[str, Any]]]
WEB = workload("shop", "web", *ports(), dns_listen="127.0.0.1:15053")
GATEWAY = workload(
    "istio-system", "gateway", {"name": "http", "number": 80, "protocol": "HTTP", "listen_port": 8080}
)
GROUPS: dict[int, Groups] = {
    2: {
        "artemon_registry": {"m1": {}},
        "artemon_control": {"m1": {}},
        "artemon_gateways": {"m1": GATEWAY},
        "artemon_proxies": {"m2": WEB},
    },
    5: {
        "artemon_registry": {"m1": {}, "m2": {}, "m3": {}},
        "artemon_control": {"m1": {}, "m2": {}},
        "artemon_gateways": {"m3": GATEWAY},
        "artemon_proxies": {"m4": WEB, "m5": WEB},
    },
}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    packages = tmp_path / "packages"
    for one in build(packages):
        newer(one, packages)
    with tempfile.TemporaryDirectory() as name, hosts(SIZE) as (_, *machines):
        made = Fleet(Path(name), machines, packages)
        try:
            for machine in made.machines.values():
                machine.boot()
            yield made
        finally:
            made.clean()


STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""


def play(fleet: Fleet, *arguments: str) -> str:
    """What ansible-playbook prints."""
    command, began = ["ansible-playbook", "-i", "inventory.yml", *arguments], time.monotonic()
    done = subprocess.run(
        command, cwd=fleet.playbooks, env=fleet.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if " unreachable=" in line]
    print(" ".join(arguments), f"({time.monotonic() - began:.0f} s)", *told, sep="\n  ")  # noqa: T201
    return done.stdout


def reboot(fleet: Fleet, name: str, groups: Groups) -> None:
    """As if somebody pulled the plug, and put it in again."""
    machine = fleet.machines[name]
    machine.power_off()
    machine.host.check("nft", "flush", "ruleset")
    machine.host.run("ip", "-6", "addr", "del", "::6/128", "dev", "lo")
    machine.boot()
    fleet.write(groups)


def applications_go_on(fleet: Fleet, groups: Groups) -> None:
    """They find each other by the mesh's names and addresses, over IPv4 and IPv6; strangers are not let in
    once STRICT is said; it all comes back after kills and a reboot."""
    proxies = list(groups["artemon_proxies"])
    first = proxies[0]
    caller, called = fleet.machines[proxies[-1]], fleet.machines[first]
    here, name_of_all = called.host.ipv4, "web.shop.svc.cluster.local"

    def all_answer(when: str, host: str = name_of_all) -> None:
        began = time.monotonic()
        for name in applications():
            wait(
                lambda one=name: answers(caller, one, host),
                lambda one=name: f"{one} {when}: {asked(caller, one, host)}",
                300,
            )
        print(f"{', '.join(applications())} answer {when}: {time.monotonic() - began:.1f} s")  # noqa: T201

    all_answer("by the mesh's name")
    all_answer("by their address", here)
    assert answers(caller, "web", called.host.ipv6), "IPv6"
    fleet.machines["m1"].check("meshctl", "apply", "-f", "-", "--wait=120", content=STRICT)
    all_answer("with STRICT")
    outside = ["nsenter", f"--net=/run/netns/{called.host.name.rsplit('-', 1)[0]}-sw"]
    curl = [*outside, "curl", "-s", "-m", "10", f"http://{here}:{PORT}/"]
    assert subprocess.run(curl, capture_output=True, check=False).returncode != 0, "a stranger without TLS"
    called.check("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "artemon-proxy.service")
    all_answer("after proxyd's death")
    called.check("pkill", "-KILL", "-x", "envoy")
    all_answer("after Envoy's death")
    reboot(fleet, first, groups)
    all_answer("after the machine's reboot")
    assert subprocess.run(curl, capture_output=True, check=False).returncode != 0, (
        "a stranger after the reboot"
    )
    fleet.machines["m1"].check("meshctl", "delete", "-f", "-", content=STRICT)


def test_the_page_on_a_fleet_does_what_it_says(fleet: Fleet) -> None:
    groups = GROUPS[SIZE]
    for name in groups["artemon_proxies"]:
        serve(fleet.machines[name])
    before = {name: machine.traces() for name, machine in fleet.machines.items()}
    fleet.write(groups)
    last = list(groups["artemon_proxies"])[-1]
    places = {"m5": last, "10.0.0.5": fleet.machines[last].host.ipv4}

    def adapted(text: str) -> str:
        for ours, theirs in places.items():
            text = text.replace(ours, theirs)
        return text

    play(fleet, "site.yml")
    applications_go_on(fleet, groups)
    run_page("ansible.md", fleet.playbooks, fleet.environment, adapted=adapted, seconds=HOURS)
    for name, machine in fleet.machines.items():
        assert machine.traces() == before[name], name
