"""Patches of one proxy are nobody else's matter, and nothing that proxies share is changed by them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patched_mesh import LUA, MESH, SIDECAR, STRICT, WEB_80, envoy_filter, patch

from artemon.model.decode import decode, load_yaml
from artemon.registry.files import read_proxy
from artemon.snapshot.build import build
from artemon.snapshot.changes import Delete
from artemon.snapshot.records import upsert
from artemon.snapshot.world import World
from artemon.translate import Translator, translate
from artemon.xds.resource import Resources
from artemon.xds.types import CLUSTER, EXTENSION, LISTENER, ROUTES

TYPES = (CLUSTER, LISTENER, ROUTES, EXTENSION)
ONLY_A = {"workloadSelector": {"labels": {"who": "a"}}}
SCRIPT = {"name": "lua", "typed_config": {"@type": LUA}}
BLOCK = {"name": "mine", "match": {"prefix": "/mine"}, "direct_response": {"status": 418}}
CHANGES: list[dict[str, Any]] = [
    patch("HTTP_FILTER", "INSERT_FIRST", SCRIPT),
    patch("HTTP_FILTER", "ADD", SCRIPT),
    patch("CLUSTER", "MERGE", {"connect_timeout": "9s"}),
    patch("CLUSTER", "MERGE", {"name": "x"}),
    patch("CLUSTER", "REMOVE", cluster={"name": WEB_80}),
    patch("CLUSTER", "ADD", {"name": "mine", "type": "STATIC"}),
    patch("LISTENER", "REMOVE", context="SIDECAR_OUTBOUND", listener={"portNumber": 80}),
    patch("LISTENER", "MERGE", {"per_connection_buffer_limit_bytes": 9}),
    patch("HTTP_ROUTE", "INSERT_FIRST", BLOCK),
    patch("VIRTUAL_HOST", "MERGE", {"domains": ["x"]}),
    patch("ROUTE_CONFIGURATION", "MERGE", {"max_direct_response_body_size_bytes": 9}),
    patch("EXTENSION_CONFIG", "ADD", {"name": "mine", "typed_config": {"@type": LUA}}),
]


def proxy(name: str) -> Any:
    """A sidecar called `name`, with a label that says so."""
    return read_proxy(SIDECAR | {"name": name, "labels": {"app": "web", "who": name}})


def world(*filters: str) -> World:
    out = World()
    out.apply([upsert(decode(one)) for text in (MESH, STRICT, *filters) for one in load_yaml(text)])
    return out


def content(found: Resources) -> dict[str, dict[str, bytes]]:
    return {url: {name: one.body for name, one in found[url].items.items()} for url in TYPES}


PLAIN = content(translate(build(world()).view(proxy("b"))))


@pytest.mark.slow
@given(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_a_proxy_with_patches_leaves_the_others_as_they_were(changes: list[Any], random: Any) -> None:
    snapshot = build(world(envoy_filter(*changes, **ONLY_A)))
    translator, found = Translator(), {}
    order = ["a", "b", "c"]
    random.shuffle(order)
    for name in order:
        found[name] = content(translator.translate(snapshot.view(proxy(name))))
    assert found["b"] == found["c"] == PLAIN
    assert found["a"] == content(translate(snapshot.view(proxy("a"))))


@pytest.mark.slow
@given(st.permutations([(n, one) for n, one in enumerate(CHANGES)]))
@settings(max_examples=20, deadline=None)
def test_the_order_of_objects_does_not_matter(changes: list[tuple[int, Any]]) -> None:
    filters = [envoy_filter(one, name=f"f{n:02}") for n, one in changes]
    found, again = (translate(build(world(*each)).view(proxy("a"))) for each in (filters, sorted(filters)))
    assert (content(found), found.rejected) == (content(again), again.rejected)


def test_filters_come_and_go() -> None:
    """What a proxy has is that of the newest filters, and where nothing changed the very same state."""
    living, translator, view = world(), Translator(), proxy("a")
    one = upsert(decode(json.loads(envoy_filter(CHANGES[2], **ONLY_A))))
    before = build(living)
    had = translator.translate(before.view(view))
    with_one = build(living, before, living.apply([one]))
    has = translator.translate(with_one.view(view), had)
    assert {url for url in TYPES if has[url] is not had[url]} == {CLUSTER}
    without = build(living, with_one, living.apply([Delete(one.key)]))
    assert content(translator.translate(without.view(view), has)) == content(had)


def test_only_what_changed_is_patched_anew() -> None:
    living, translator, view = world(envoy_filter(CHANGES[0], CHANGES[2])), Translator(), proxy("a")
    before = build(living)
    had = translator.translate(before.view(view))
    entry = next(one for one in load_yaml(MESH) if one["kind"] == "ServiceEntry")
    other = {
        **entry,
        "metadata": {"name": "other"},
        "spec": {**entry["spec"], "hosts": ["other.example.com"]},
    }
    more = living.apply([upsert(decode(other))])
    has = translator.translate(build(living, before, more).view(view), had)
    assert has[CLUSTER].items[WEB_80] is had[CLUSTER].items[WEB_80]
    assert len(has[CLUSTER].items) > len(had[CLUSTER].items)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_proxy_without_patches_gets_the_shared_states(name: str) -> None:
    plain, filtered = world(), world(envoy_filter(CHANGES[2], **ONLY_A))
    one, other = (translate(build(each).view(proxy(name))) for each in (plain, filtered))
    same = {url for url in TYPES if dict(one[url].items) == dict(other[url].items)}
    assert same == (set(TYPES) if name == "b" else set(TYPES) - {CLUSTER})
