"""Secrets in volumes that a kubelet mounts: links to root's files, which the pod's group may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from artemon.daemon.files import InsecureFile, read_secret


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    there = tmp_path / "..2026_01_01"
    there.mkdir()
    (there / "token").write_text("secret")
    (there / "token").chmod(0o440)
    (tmp_path / "..data").symlink_to(there.name)
    (tmp_path / "token").symlink_to("..data/token")
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: such files are root's")
def test_the_pods_group_may_read(volume: Path) -> None:
    assert read_secret(volume / "token") == b"secret"


@pytest.mark.parametrize("mode", [0o444, 0o460])
def test_others_may_not_and_nobody_may_write(volume: Path, mode: int) -> None:
    (volume / "..data" / "token").chmod(mode)
    with pytest.raises(InsecureFile):
        read_secret(volume / "token")


def test_elsewhere_a_link_is_refused(volume: Path) -> None:
    (volume / "..data").unlink()
    (volume / "token").unlink()
    (volume / "token").symlink_to("..2026_01_01/token")
    with pytest.raises(InsecureFile):
        read_secret(volume / "token")
