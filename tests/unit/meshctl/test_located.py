"""`meshctl status` and `down` find the mesh that runs."""

from __future__ import annotations

import os
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from meshctl.context import remember_context
from meshctl.up.layout import Layout, default_folder
from meshctl.up.located import located
from meshctl.up.plan import remember
from meshctl.up.processes import Process, save, start_time


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def mesh(folder: Path, *, runs: bool = True) -> Path:
    """A folder as `meshctl up` leaves it; this process stands for what it started."""
    folder.mkdir(parents=True)
    remember(Layout(folder=folder, network=IPv4Network("127.0.1.0/24")), demo=False, registry="sqlite://x")
    started = start_time(os.getpid()) if runs else 1
    save(folder / "state.json", [Process("supervisor", "supervisor", os.getpid(), started)])
    return folder


def test_what_is_given_counts(tmp_path: Path) -> None:
    mesh(tmp_path / "cwd" / ".artemon")
    assert located(Path("other")) == tmp_path / "cwd" / "other"


def test_the_mesh_of_the_checkout_comes_first(tmp_path: Path) -> None:
    mesh(default_folder())
    local = mesh(tmp_path / "cwd" / ".artemon")
    assert located(None) == local


def test_one_that_stopped_is_passed_over(tmp_path: Path) -> None:
    mesh(tmp_path / "cwd" / ".artemon", runs=False)
    usual = mesh(default_folder())
    assert located(None) == usual


def test_the_context_leads_to_a_mesh_elsewhere(tmp_path: Path) -> None:
    home = mesh(tmp_path / "far")
    assert located(None) == default_folder()
    remember_context("artemon", server="https://x", ca=home / "root-cert.pem", token=home / "admin.token")
    assert located(None) == home
