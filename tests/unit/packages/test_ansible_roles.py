"""The roles as ansible-lint has them for production, from modules that ansible-core brings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from netns import ROOT

ROLES = ROOT / "deploy" / "ansible"
PROGRAMS = Path(sys.executable).parent


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not (PROGRAMS / "ansible-lint").exists(), reason="needs ansible-lint")
def test_lint_for_production_is_silent(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "ANSIBLE_HOME": str(tmp_path)}
    command = [
        str(PROGRAMS / "ansible-lint"),
        "--nocolor",
        "--offline",
        "--strict",
        "--profile",
        "production",
    ]
    done = subprocess.run(command, cwd=ROLES, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Profile 'production' was required, and it passed" in done.stdout + done.stderr


def test_no_collection_is_needed() -> None:
    modules = set()
    for path in ROLES.rglob("*.yml"):
        modules |= set(
            re.findall(r"^ *(?:- )?([a-z0-9_]+\.[a-z0-9_]+\.[a-z0-9_]+):", path.read_text(), re.MULTILINE)
        )
    assert modules
    assert {one for one in modules if not one.startswith("ansible.builtin.")} == set()


def test_the_example_is_five_machines_in_all_groups() -> None:
    inventory = yaml.safe_load((ROLES / "inventory.example.yml").read_text())["all"]
    groups = inventory["children"]
    assert set(groups) == {"artemon_registry", "artemon_control", "artemon_gateways", "artemon_proxies"}
    assert {name for group in groups.values() for name in group["hosts"]} == {"m1", "m2", "m3", "m4", "m5"}
