"""What `site.yml --check` tells of machines that have nothing yet, and that it does nothing there."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_fleet import Fleet
from debian_packages import missing_debian
from netns import hosts, missing
from servers import find_etcd
from systemd_machine import missing_systemd

REASON = missing() or missing_systemd() or missing_debian() or ("" if find_etcd() else "needs etcd")
pytestmark = [
    pytest.mark.root,
    pytest.mark.etcd,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(REASON), reason=REASON or "-"),
]
WEB = {"namespace": "shop", "service_account": "web", "service": "web", "ports": []}
GROUPS = {
    "artemon_registry": {"m1": {}},
    "artemon_control": {"m1": {}},
    "artemon_proxies": {"m1": {"artemon_workload": WEB}},
}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("artemon", "artemon-proxy"):
        (packages / f"{name}_0.1.0-1_amd64.deb").touch()  # looked for, never installed
        (packages / f"{name}_0.1.0-1_arm64.deb").touch()
    with tempfile.TemporaryDirectory() as name, hosts(1) as (_, host):
        made = Fleet(Path(name), [host], packages)
        try:
            made.machines["m1"].boot()
            made.write(GROUPS)
            yield made
        finally:
            made.clean()


def test_a_machine_that_has_nothing_has_nothing_afterwards(fleet: Fleet) -> None:
    before = fleet.machines["m1"].traces()
    command = ["ansible-playbook", "-i", "inventory.yml", "site.yml", "--check"]
    done = subprocess.run(
        command, cwd=fleet.playbooks, env=fleet.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for told in ("Copy it there", "Make the root", "Make the authority", "Make the token"):
        assert told in done.stdout
    assert "changed=0" not in done.stdout
    assert fleet.machines["m1"].traces() == before
    assert not (fleet.playbooks / ".artemon").exists()
