"""docs/tasks/ansible.md on real machines of systemd: an inventory becomes a mesh, from packages alone, is
upgraded, and goes without a trace.

`make fleet` (MACHINES=5 or 2): five have three members of etcd and two control planes. Not a part of `make
test`: it takes minutes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_fleet import Fleet
from debian_packages import PYTHON, build, missing_debian, newer
from machine_daemons import write
from machine_site import ANSWER, PORT
from netns import hosts, missing
from servers import find_etcd
from systemd_machine import missing_systemd
from task_page import run_page

REASON = missing() or missing_systemd() or missing_debian() or ("" if find_etcd() else "needs etcd")
pytestmark = [
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.etcd,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(REASON), reason=REASON or "-"),
]
SIZE = int(os.environ.get("ARTEMON_FLEET") or 5)


def workload(namespace: str, name: str, port: dict[str, Any]) -> dict[str, Any]:
    own = {"namespace": namespace, "service_account": name, "service": name, "ports": [port]}
    return {"artemon_workload": own}


WEB = workload("shop", "web", {"name": "http", "number": PORT, "protocol": "HTTP"})
GATEWAY = workload(
    "istio-system", "gateway", {"name": "http", "number": 80, "protocol": "HTTP", "listen_port": 8080}
)
GROUPS: dict[int, dict[str, dict[str, Any]]] = {
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


def serve(fleet: Fleet, name: str) -> None:
    """An application of Debian's Python, which knows nothing of the mesh."""
    machine = fleet.machines[name]
    write(machine, "/root/application.py", ANSWER)
    machine.check("systemd-run", "--unit=web", "--quiet", PYTHON, "/root/application.py", "web", str(PORT))


def test_the_page_on_a_fleet_does_what_it_says(fleet: Fleet) -> None:
    groups = GROUPS[SIZE]
    for name in groups["artemon_proxies"]:
        serve(fleet, name)
    before = {name: machine.traces() for name, machine in fleet.machines.items()}
    fleet.write(groups)
    last = list(groups["artemon_proxies"])[-1]
    places = {"m5": last, "10.0.0.5": fleet.machines[last].host.ipv4}

    def adapted(text: str) -> str:
        for ours, theirs in places.items():
            text = text.replace(ours, theirs)
        return text

    run_page("ansible.md", fleet.playbooks, fleet.environment, adapted=adapted, seconds=1800)
    for name, machine in fleet.machines.items():
        assert machine.traces() == before[name], name
