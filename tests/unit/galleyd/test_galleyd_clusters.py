"""Copies of clusters' objects: whose they are, who goes before whom, what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from artemon.errors import ArtemonError
from artemon.kube.cluster import among, read_clusters
from galleyd.clusters.conditions import Verdict, says_the_same, status_of
from galleyd.clusters.marks import Home, copied, goes_before, home_of
from galleyd.clusters.settings import ReadOptions
from galleyd.progress import Nack, Progress

EAST, WEST = Home("east", "u1"), Home("west", "u2")
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
ALL = Progress(("a.shop", "b.shop"), (), ())


def test_a_copy_is_what_the_user_decided_and_a_mark() -> None:
    meta = {
        "name": "web",
        "namespace": "shop",
        "uid": "x",
        "resourceVersion": "7",
        "managedFields": [{}],
        "labels": {"a": "b"},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "artemon.io/cluster": "forged/u9",
            "note": "n",
        },
    }
    obj = {"apiVersion": "v", "kind": "K", "metadata": meta, "spec": {"hosts": []}, "status": {"x": 1}}
    made = copied(obj, EAST)
    annotations = {"note": "n", "artemon.io/cluster": "east/u1"}
    kept = {"name": "web", "namespace": "shop", "labels": {"a": "b"}, "annotations": annotations}
    assert made == {"apiVersion": "v", "kind": "K", "spec": {"hosts": []}, "metadata": kept}
    assert home_of(made) == EAST


@pytest.mark.parametrize(
    "annotations",
    [None, {}, {"artemon.io/cluster": ""}, {"artemon.io/cluster": "east"}, {"artemon.io/cluster": 7}, "text"],
)
def test_what_has_no_whole_mark_is_the_meshs_own(annotations: Any) -> None:
    assert home_of({"metadata": {"annotations": annotations}}) is None


@pytest.mark.parametrize(
    ("stored", "stays"),
    [
        pytest.param(None, True, id="the-meshs-own"),
        pytest.param(WEST, False, id="its-own-copy"),
        pytest.param(Home("west", "u9"), False, id="of-the-cluster-that-was-there-before"),
        pytest.param(EAST, True, id="of-a-cluster-before-it"),
        pytest.param(Home("south", "u3"), False, id="of-a-cluster-behind-it"),
        pytest.param(Home("gone", "u4"), False, id="of-a-cluster-that-is-not-read-any-more"),
    ],
)
def test_who_goes_before(stored: Home | None, stays: bool) -> None:
    assert goes_before(stored, WEST, ["east", "west", "south"]) is stays


def told(verdict: Verdict, reached: Progress | None = None, before: Any = None) -> dict[str, Any]:
    found = status_of(verdict, reached, before, now=NOW)
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found["conditions"]}


def test_what_is_in_force_says_how_many_have_it() -> None:
    accepted = Verdict(3, "Accepted", revision=9)
    assert told(accepted, ALL) == {
        "Accepted": ("True", "Accepted", ""),
        "Reconciled": ("True", "Reconciled", "2/2 proxies have it"),
    }
    waiting = told(accepted, Progress(("a.shop",), ("b.shop",), ()))["Reconciled"]
    assert waiting == ("False", "Pending", "1/2 proxies have it; waiting for b.shop")
    nack = Nack("b.shop", "LDS", "inbound", "bad regex")
    refused = told(accepted, Progress(("a.shop",), (), (nack,)))["Reconciled"]
    assert refused == ("False", "Refused", "b.shop refused inbound: bad regex")


def test_what_is_not_in_force_says_why() -> None:
    found = told(Verdict(1, "Invalid", "spec.hosts: must not be empty"))
    assert found["Accepted"] == ("False", "Invalid", "spec.hosts: must not be empty")
    assert found["Reconciled"][:2] == ("False", "Invalid")


def test_times_change_with_what_they_are_of_alone() -> None:
    before = status_of(Verdict(1, "Accepted"), ALL, None, now=NOW)
    after = status_of(Verdict(2, "Invalid", "no"), None, before, now=LATER)
    assert [one["lastTransitionTime"] for one in before["conditions"]] == [NOW, NOW]
    assert [one["lastTransitionTime"] for one in after["conditions"]] == [LATER, LATER]
    again = status_of(Verdict(3, "Accepted"), ALL, before, now=LATER)
    assert [one["lastTransitionTime"] for one in again["conditions"]] == [NOW, NOW]


def test_nothing_is_written_for_proxies_that_come_and_go() -> None:
    before = status_of(Verdict(1, "Accepted"), ALL, None, now=NOW)
    one = Progress(("a.shop",), (), ())
    assert says_the_same(before, status_of(Verdict(1, "Accepted"), one, before, now=LATER))
    assert not says_the_same(before, status_of(Verdict(2, "Accepted"), one, before, now=LATER))
    assert not says_the_same(before, status_of(Verdict(1, "Invalid", "no"), None, before, now=LATER))
    for odd in (None, {}, {"conditions": "x"}, {"conditions": ["x"]}):
        assert not says_the_same(odd, before)


def kubeconfig(folder: Path) -> str:
    file = folder / "k.yaml"
    file.write_text(
        "{current-context: t, clusters: [{name: t, cluster: {server: 'https://h'}}],"
        " users: [{name: t, user: {token: t}}], contexts: [{name: t, context: {cluster: t, user: t}}]}"
    )
    return str(file)


def test_the_first_cluster_goes_before(tmp_path: Path) -> None:
    where = f"kubernetes://{kubeconfig(tmp_path)}"
    first, second = read_clusters([f"{where}?name=a&namespaces=shop,team-*", f"{where}?name=b"], ReadOptions)
    assert (first.name, first.precedence, second.name, second.precedence) == ("a", 0, "b", 1)
    read = [among(name, first.settings.namespaces) for name in ("shop", "team-1", "bank", "shopping")]
    assert read == [True, True, False, False]
    assert second.settings == ReadOptions(name="b")


@pytest.mark.parametrize(
    ("urls", "why"),
    [
        pytest.param(["https://h"], "must be kubernetes:///path", id="scheme"),
        pytest.param(["kubernetes://"], "must be kubernetes:///path", id="nowhere"),
        pytest.param(
            ["kubernetes://{}?colour=red"], "colour: is not a setting of this cluster", id="setting"
        ),
        pytest.param(["kubernetes://{}?name=A"], "name", id="name"),
        pytest.param(["kubernetes://{}", "kubernetes://{}"], "two are called kubernetes", id="twice"),
        pytest.param(["kubernetes:///nowhere"], "cannot be read", id="file"),
    ],
)
def test_wrong_clusters_stop_the_start(tmp_path: Path, urls: list[str], why: str) -> None:
    with pytest.raises(ArtemonError, match=why):
        read_clusters([url.format(kubeconfig(tmp_path)) for url in urls], ReadOptions)
