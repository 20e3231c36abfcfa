"""Machines of systemd that Ansible makes a mesh of, from packages alone."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from debian_packages import BareMachine
from netns import ROOT, Host
from servers import find_etcd

ROLES = ROOT / "deploy" / "ansible"
ETCD = "/usr/local/bin/etcd"


class FleetMachine(BareMachine):
    """One that has an etcd, which is not ours, and nothing of ours."""

    def _install(self, up: Path, etc: Path) -> None:
        super()._install(up, etc)
        binary = find_etcd()
        assert binary
        place = up / ETCD.lstrip("/")
        place.parent.mkdir(parents=True)
        shutil.copy(binary, place)

    @property
    def leader(self) -> int:
        """Its first process."""
        found = self._leader()
        assert found is not None
        return found


class Fleet:
    """Machines `m1`, `m2`, ... and the controller that has `packages`."""

    def __init__(self, folder: Path, hosts: list[Host], packages: Path) -> None:
        self.playbooks, self.packages = folder / "ansible", packages
        shutil.copytree(ROLES, self.playbooks)
        self.machines: dict[str, FleetMachine] = {}
        for number, host in enumerate(hosts, start=1):
            place = folder / f"m{number}"
            place.mkdir()
            self.machines[f"m{number}"] = FleetMachine(place, host)

    def write(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        """The inventory: group -> machine -> variables."""
        hosts = {
            name: {
                "ansible_connection": "machine",
                "ansible_user": "root",
                "machine_leader": machine.leader,
                "artemon_address": machine.host.ipv4,
            }
            for name, machine in self.machines.items()
        }
        common = {
            "artemon_packages": str(self.packages),
            "artemon_version": "0.1.0-1",
            "artemon_registry_package": "",
            "artemon_registry_etcd": ETCD,
        }
        children = {
            group: {"hosts": {name: dict(own) for name, own in rows.items()}}
            for group, rows in groups.items()
        }
        content = {"all": {"vars": common, "hosts": hosts, "children": children}}
        (self.playbooks / "inventory.yml").write_text(yaml.safe_dump(content))

    @property
    def environment(self) -> dict[str, str]:
        """For ansible-playbook."""
        return {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.playbooks / "ansible.cfg"),
            "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "tests" / "ansible_connection"),
            "ANSIBLE_HOME": str(self.playbooks / ".home"),
            "ANSIBLE_FORKS": "5",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def clean(self) -> None:
        for machine in self.machines.values():
            machine.clean()
