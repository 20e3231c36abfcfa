"""`meshctl up --registry etcd|consul`: a control plane on three real members, checked, moved and ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers import find_consul, find_etcd

pytestmark = pytest.mark.e2e

URLS = {"etcd": "etcd://{0}:2379,{0}:2389,{0}:2399", "consul": "consul://{0}:8500,{0}:8510,{0}:8520"}


def meshctl(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshctl", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)


@pytest.mark.parametrize(
    ("name", "find", "net"),
    [
        pytest.param("etcd", find_etcd, "127.91.1", marks=pytest.mark.etcd),
        pytest.param("consul", find_consul, "127.91.2", marks=pytest.mark.consul),
    ],
)
def test_a_mesh_on_three_members(tmp_path: Path, monkeypatch, name: str, find, net: str) -> None:
    if find() is None:
        pytest.skip(f"no {name}: run .ci/servers {name}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setitem(os.environ, f"ARTEMON_{name.upper()}", find())
    folder, url = str(tmp_path / "mesh"), URLS[name].format(f"{net}.1")
    try:
        up = meshctl("up", "--dir", folder, "--registry", name, "--network", f"{net}.0/24")
        assert up.returncode == 0, up.stdout + up.stderr
        check = meshctl("registry", "check", "--registry", url)
        assert check.returncode == 0, check.stdout + check.stderr
        assert "schema         1" in check.stdout
        backup, copy = tmp_path / "backup", f"sqlite://{tmp_path}/copy.db"
        assert meshctl("registry", "export", "--registry", url, str(backup)).returncode == 0
        assert meshctl("registry", "import", "--registry", copy, str(backup)).returncode == 0
        moved = meshctl("registry", "migrate", "--from", url, "--to", f"sqlite://{tmp_path}/new.db", "--once")
        assert "the same at revision" in moved.stdout, moved.stderr
        other = meshctl(
            "up", "--dir", folder, "--registry", "sqlite:///elsewhere.db", "--network", f"{net}.0/24"
        )
        assert other.returncode == 1
        assert "runs on the registry" in other.stderr
    finally:
        down = meshctl("down", "--dir", folder)
    assert down.returncode == 0, down.stderr
