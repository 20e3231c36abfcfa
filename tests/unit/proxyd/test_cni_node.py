"""artemon-cni on a node: behind other plug-ins, which stay as they are, and out again without a trace."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artemon.errors import ArtemonError
from artemon.kube.access import Access
from artemon.kube.kubeconfig import cluster_access
from proxyd.cni import chain
from proxyd.cni.node import Node

BRIDGE = {"type": "bridge", "bridge": "cni0", "ipam": {"type": "host-local", "own": [1, {"x": None}]}}
PORTS = {"type": "portmap", "capabilities": {"portMappings": True}}
LIST = {"cniVersion": "1.0.0", "name": "pods", "disableCheck": True, "plugins": [BRIDGE, PORTS]}
OURS = {"type": chain.TYPE, "kubernetes": {"kubeconfig": "/k"}}
ACCESS = Access("https://10.96.0.1:443", ca="-----BEGIN CERTIFICATE-----", token="first")


def chained(config: Any) -> Any:
    return json.loads(chain.chained(json.dumps(config), OURS))


def test_it_stands_behind_all_others_which_stay_as_they_are() -> None:
    assert chained(LIST) == {**LIST, "plugins": [BRIDGE, PORTS, OURS]}
    moved = {**LIST, "plugins": [OURS, BRIDGE, {**OURS, "kubernetes": {"kubeconfig": "/old"}}, PORTS]}
    assert chained(moved) == chained(LIST)


def test_a_plug_in_by_itself_becomes_a_list() -> None:
    alone = {"cniVersion": "0.3.1", "name": "pods", **BRIDGE}
    assert chained(alone) == {"cniVersion": "0.3.1", "name": "pods", "plugins": [alone, OURS]}


def test_what_is_already_so_is_not_written_anew() -> None:
    text = json.dumps(chained(LIST), separators=(",", ":"))
    assert chain.chained(text, OURS) == text
    plain = json.dumps(LIST, separators=(",", ":"))
    assert chain.without(plain) == plain
    assert json.loads(chain.without(text)) == LIST


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is no network configuration"),
        ('{"plugins": {}}', "is no network configuration"),
        ('{"plugins": []}', "has no plug-in that makes a network"),
        (json.dumps({"plugins": [OURS]}), "has no plug-in that makes a network"),
    ],
)
def test_what_cannot_be_chained_is_said(text: str, reason: str) -> None:
    with pytest.raises(ArtemonError, match=reason):
        chain.chained(text, OURS)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """What is copied to it is small: `tests/e2e/kube/test_kube_cni.py` has the whole."""

    def small(tree: Path, at: Path) -> None:
        (tree / "bin").mkdir()
        (tree / "bin" / "python3").write_text(str(at))

    (tmp_path / "net.d").mkdir()
    return Node(tmp_path / "bin", tmp_path / "net.d", tmp_path / "tree", ("infra",), "r1", small)


def put(node: Node, name: str, config: Any) -> Path:
    file = node.conf_dir / name
    file.write_text(json.dumps(config))
    return file


def everything(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_it_is_put_on_a_node_and_taken_out_again(node: Node) -> None:
    put(node, "10-pods.conflist", LIST)
    put(node, "20-other.conflist", LIST)
    before = everything(node.conf_dir)
    assert not node.is_complete()
    assert node.put(ACCESS)
    assert node.is_complete()
    found = json.loads((node.conf_dir / "10-pods.conflist").read_text())
    told = {"kubeconfig": str(node.kubeconfig), "excludeNamespaces": ["infra"]}
    assert found == {**LIST, "plugins": [BRIDGE, PORTS, {"type": chain.TYPE, "kubernetes": told}]}
    assert (node.conf_dir / "20-other.conflist").read_bytes() == before["20-other.conflist"]
    assert cluster_access(str(node.kubeconfig)) == ACCESS
    assert stat.S_IMODE(node.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(node.plugin.stat().st_mode) == 0o755
    assert node.put(ACCESS) == []
    node.take_out()
    after = everything(node.conf_dir)
    assert {name: json.loads(text) for name, text in after.items()} == {
        name: json.loads(text) for name, text in before.items()
    }
    assert not list(node.bin_dir.iterdir())
    assert not list(node.tree.iterdir())
    assert node.take_out() == []


def test_a_configuration_of_one_plug_in_comes_back_as_it_was(node: Node) -> None:
    file = put(node, "10-pods.conf", {"cniVersion": "0.3.1", "name": "pods", **BRIDGE})
    before = everything(node.conf_dir)
    node.put(ACCESS)
    assert not file.exists(), "the runtime would take it before the list"
    assert chain.has_ours((node.conf_dir / "10-pods.conflist").read_text())
    assert node.put(ACCESS) == []
    node.take_out()
    assert everything(node.conf_dir) == before


def again_written(node: Node) -> None:
    put(node, "10-pods.conflist", {**LIST, "name": "renewed"})


def another_first(node: Node) -> None:
    put(node, "05-first.conflist", {**LIST, "name": "first"})


def program_gone(node: Node) -> None:
    node.plugin.unlink()


@pytest.mark.parametrize("happens", [again_written, another_first, program_gone])
def test_it_is_kept_in_place(node: Node, happens: Callable[[Node], None]) -> None:
    put(node, "10-pods.conflist", LIST)
    node.put(ACCESS)
    happens(node)
    assert not node.is_complete()
    assert node.put(ACCESS)
    assert node.is_complete()
    node.take_out()
    texts = [one.read_text() for one in node.conf_dir.iterdir()]
    assert not [text for text in texts if chain.TYPE in text]


def test_a_token_is_renewed_and_a_new_release_replaces_the_old(node: Node) -> None:
    put(node, "10-pods.conflist", LIST)
    node.put(ACCESS)
    node.put(Access(ACCESS.server, ca=ACCESS.ca, token="second"))
    assert cluster_access(str(node.kubeconfig)).token == "second"
    replace(node, release="next").put(ACCESS)
    assert [one.name for one in node.tree.iterdir()] == ["next"]
    assert str(node.tree / "next" / "bin" / "python3") in node.plugin.read_text()


def test_without_a_network_it_waits_and_says_for_what(node: Node) -> None:
    with pytest.raises(ArtemonError, match=r"net\.d: there is no network configuration yet"):
        node.put(ACCESS)
    put(node, "10-pods.conflist", "nothing")
    with pytest.raises(ArtemonError, match=r"10-pods\.conflist: is no network configuration"):
        node.put(ACCESS)
    assert (node.conf_dir / "10-pods.conflist").read_text() == '"nothing"'
