"""What is made once is shared, and a change costs what it touches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from worlds_for_golden import BOOKINFO

from artemon.model.decode import decode, load_yaml
from artemon.model.proxy import Proxy, ProxyType
from artemon.snapshot.build import build
from artemon.snapshot.changes import Upsert
from artemon.snapshot.records import upsert
from artemon.snapshot.world import World
from artemon.translate import Translator, translate
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES, START

ALL = {CLUSTER, ENDPOINTS, LISTENER, ROUTES}


def client(name: str, **fields: Any) -> Proxy:
    identity = f"sidecar~10.0.1.1~{name}.bookinfo~bookinfo.svc.cluster.local"
    return Proxy(id=identity, type=ProxyType.SIDECAR, name=name, namespace="bookinfo", **fields)


def bookinfo() -> tuple[World, list[Upsert]]:
    world = World()
    changes = [upsert(decode(fields)) for fields in load_yaml(BOOKINFO)]
    world.apply(changes)
    return world, changes


def changed(what: Upsert, **spec: Any) -> Upsert:
    return Upsert(what.key, replace(what.object, spec=what.object.spec.model_copy(update=spec)))


@pytest.mark.parametrize(
    ("name", "spec", "types"),
    [
        pytest.param("reviews-1", {"weight": 9}, {ENDPOINTS}, id="weight"),
        pytest.param("reviews-1", {"address": "10.0.0.99"}, {ENDPOINTS}, id="address"),
        pytest.param("reviews-1", {"service_account": "new"}, {CLUSTER}, id="identity"),
        pytest.param("reviews-1", {"labels": {"app": "gone"}}, {ENDPOINTS}, id="leaves"),
        pytest.param("reviews-1", {}, set(), id="nothing"),
    ],
)
def test_a_change_of_one_instance(name: str, spec: dict[str, Any], types: set[str]) -> None:
    world, changes = bookinfo()
    one = next(each for each in changes if each.key.endswith(f"/{name}"))
    translator, proxy, before = Translator(), client("a"), build(world)
    had = translator.translate(before.view(proxy))
    now = build(world, before, world.apply([changed(one, **spec)]))
    has = translator.translate(now.view(proxy), had)
    assert {url for url in ALL if has[url] is not had[url]} == types


def test_proxies_with_the_same_eyes_share_states() -> None:
    snapshot, translator = build(bookinfo()[0]), Translator()
    one, other = (translator.translate(snapshot.view(client(name, labels={"app": name}))) for name in "ab")
    assert {url for url in ALL if one[url] is other[url]} >= {ENDPOINTS, ROUTES}


def test_equal_worlds_give_equal_bytes() -> None:
    one, other = (translate(build(bookinfo()[0]).view(client("a"))) for _ in range(2))
    assert {url: dict(one[url].items) for url in ALL} == {url: dict(other[url].items) for url in ALL}


def test_only_clients_whose_place_matters_are_told_apart() -> None:
    snapshot, translator = build(bookinfo()[0]), Translator()
    near, far = (
        translator.translate(snapshot.view(client("a", locality=place))) for place in ("eu/a", "us/b")
    )
    assert near[ENDPOINTS].items != far[ENDPOINTS].items
    assert near[CLUSTER].items == far[CLUSTER].items


def test_how_a_proxy_is_started_follows_its_proxy_configs_alone() -> None:
    config = {"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig", "metadata": {"name": "a"}}
    view, translator = build(bookinfo()[0]).view(client("a")), Translator()
    one, other = (decode({**config, "spec": {"concurrency": number}}) for number in (1, 2))
    found = [
        translator.translate(replace(view, proxy_configs=(each,)))[START].items["settings"]
        for each in (one, other)
    ]
    assert found[0].body != found[1].body
