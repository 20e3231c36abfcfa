"""One running sample for all tests here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
from real_envoy import envoy
from task_page import NETWORK


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A running sample, and what finds its meshctl. MESH: its directory."""
    envoy()
    folder = tmp_path_factory.mktemp("tasks")
    tools = folder / "bin"
    tools.mkdir()
    (tools / "meshctl").write_text(f'#!/bin/sh\nexec {sys.executable} -m meshctl "$@"\n')
    (tools / "meshctl").chmod(0o755)
    path = {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": os.getcwd()}
    found = {**os.environ, **path, "XDG_CONFIG_HOME": str(folder / "xdg"), "MESH": str(folder / "mesh")}
    command, place = [str(tools / "meshctl")], ["--dir", found["MESH"]]
    up = [*command, "up", "--demo", *place, "--network", f"{NETWORK}0/24"]
    try:
        brought = subprocess.run(up, env=found, check=False, capture_output=True, text=True, timeout=200)
        assert brought.returncode == 0, brought.stdout + brought.stderr
        yield found
    finally:
        subprocess.run([*command, "down", *place], env=found, check=False, capture_output=True, timeout=60)
