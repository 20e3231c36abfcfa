"""Keys and records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from artemon.store.api import Entry
from artemon.store.layout import Layout
from artemon.store.typed import Corrupt, Nacked, ProxyStatus, TypeStatus, read, read_all

KEYS = {
    "config": (Layout().config("virtualservices", "ns", "a"), ("config", "virtualservices", "ns", "a")),
    "mesh": (Layout().mesh, ("mesh",)),
    "secret": (Layout().secret("ns", "a"), ("secrets", "ns", "a")),
    "history": (Layout().history(42), ("history", "00000000000000000042")),
    "workload": (Layout().workload("ns", "web", "n1"), ("workloads", "ns", "web", "n1")),
    "workload-without-service": (Layout().workload("ns", "", "n1"), ("workloads", "ns", "", "n1")),
    "bundle": (Layout().bundle, ("trust", "bundle")),
    "token": (Layout().token("ab"), ("trust", "tokens", "ab")),
    "issued": (Layout().issued(255), ("trust", "issued", "ff")),
    "status": (Layout().status("n1", "ns"), ("status", "proxies", "n1.ns")),
    "schema": (Layout().schema, ("schema",)),
    "election": (Layout().election("citadeld"), ("election", "citadeld")),
}


@pytest.mark.parametrize(("key", "parts"), KEYS.values(), ids=KEYS)
def test_a_key_is_taken_apart_as_it_was_built(key: str, parts: tuple[str, ...]) -> None:
    assert key.startswith("artemon/default/")
    assert Layout().split(key) == parts


def test_every_key_of_the_architecture_page_is_known() -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `([a-z]+)[/`]", page.split("## Keys and owners")[1].split("## ")[0], re.M)
    assert set(table) <= {parts[0] for _, parts in KEYS.values()} | {"namespaces"}
    assert table


def test_a_key_of_another_mesh_is_refused() -> None:
    with pytest.raises(ValueError, match="artemon/other"):
        Layout("other").split(Layout().mesh)


STATUS = ProxyStatus(
    node="n1",
    pilot="p",
    connected="2026-01-01T00:00:00Z",
    revision=7,
    changed=5,
    types={
        "cds": TypeStatus("v2", "v1", Nacked("v2", "bad", "outbound|80||x", "t")),
        "eds": TypeStatus("v", "v"),
    },
)


def test_a_status_comes_back_as_it_was_written() -> None:
    assert read(Entry("k", STATUS.to_json(), 1), ProxyStatus.decode) == STATUS


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff", b"[]", b"{}", b'{"node":"n","types":[]}', b'{"node":"n","revision":"x"}', b"[" * 9999],
)
def test_a_corrupt_record_names_its_key_and_hurts_only_itself(value: bytes) -> None:
    bad, good = Entry("k/bad", value, 1), Entry("k/good", STATUS.to_json(), 2)
    with pytest.raises(Corrupt, match="k/bad: the value in the registry is corrupt"):
        read(bad, ProxyStatus.decode)
    found, errors = read_all([bad, good], ProxyStatus.decode)
    assert (found, [error.key for error in errors]) == ({"k/good": STATUS}, ["k/bad"])
