"""The registry's servers that `meshctl up` starts: found, or refused with a way out."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from artemon.errors import ArtemonError
from meshctl.commands.up import _registry
from meshctl.up import members, plan
from meshctl.up.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(folder=tmp_path, network=IPv4Network("127.0.1.0/24"))


@pytest.fixture
def binaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("etcd", "consul"):
        path = tmp_path / "cache" / f"{name}-1.0.0" / name
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.setenv("ARTEMON_SERVERS", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("ARTEMON_ETCD", "ARTEMON_CONSUL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def test_a_server_that_is_nowhere_is_one_line_with_ways_out(tmp_path: Path, binaries: Path) -> None:
    with pytest.raises(ArtemonError, match=r"there is none on PATH .*\.ci/servers consul.*--registry URL"):
        members.find("consul", {"ARTEMON_SERVERS": str(tmp_path / "empty")})


@pytest.mark.parametrize("name", ["etcd", "consul"])
def test_three_members_are_started_before_the_daemons(layout: Layout, binaries: Path, name: str) -> None:
    names = [program.name for program in plan.programs(layout, registry=name, demo=False)]
    assert names == [f"{name}-1", f"{name}-2", f"{name}-3", "citadeld", "galleyd", "pilotd", "mixerd"]
    wanted = [
        port for _, port, who in plan.addresses(layout, registry=name, demo=False) if who.startswith(name)
    ]
    assert len(wanted) == len(set(wanted)) == 3 * len(members.KINDS[name].ports)


def test_daemons_are_told_the_members_and_not_their_kind(layout: Layout, binaries: Path) -> None:
    plan.write_settings(layout, registry="consul", demo=False)
    wanted = "registry: consul://127.0.1.1:8500,127.0.1.1:8510,127.0.1.1:8520"
    for daemon in ("citadeld", "galleyd", "pilotd"):
        assert wanted in layout.config(daemon).read_text()


def test_a_url_starts_nothing(layout: Layout) -> None:
    assert members.programs(layout, "etcd://10.0.0.1:2379") == []
    assert members.url(layout, "etcd://10.0.0.1:2379") == "etcd://10.0.0.1:2379"


def test_without_a_choice_it_is_the_file(layout: Layout) -> None:
    assert _registry(None, None, layout) == layout.registry
    assert _registry("etcd", None, layout) == "etcd"
