"""The last-good configuration on disk: whole, private, and never the reason for a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from artemon.log import Log
from artemon.xds.resource import Resource
from artemon.xds.types import CLUSTER
from proxyd.lastgood import FILE, load, save

GOOD = {CLUSTER: {"a": Resource("a", CLUSTER, "v1", b"\x00\xff body")}}
LOG = Log("test")


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / FILE, "node", GOOD)
    assert load(tmp_path / FILE, "node", LOG) == GOOD
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_there_may_be_none(tmp_path: Path) -> None:
    assert load(tmp_path / FILE, "node", LOG) == {}


def test_that_of_another_node_is_not_used(tmp_path: Path) -> None:
    save(tmp_path / FILE, "other", GOOD)
    assert load(tmp_path / FILE, "node", LOG) == {}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-3], id="cut-off"),
        pytest.param(lambda data: data.replace(b"v1", b"v2"), id="changed"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"\xff" * 100, id="not-text"),
    ],
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / FILE
    save(file, "node", GOOD)
    file.write_bytes(damage(file.read_bytes()))
    assert load(file, "node", LOG) == {}
    assert not file.exists()
    assert file.with_suffix(".corrupt").exists()
    assert "corrupt" in caplog.text


def test_a_file_that_others_can_read_is_not_trusted(tmp_path: Path) -> None:
    save(tmp_path / FILE, "node", GOOD)
    (tmp_path / FILE).chmod(0o644)
    assert load(tmp_path / FILE, "node", LOG) == {}
