"""A snapshot built from the one before equals one built from nothing, and so does what is made from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_in_yaml import entry, joined, obj, proxy

from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import Proxy, ProxyType, WorkloadPort
from artemon.model.service import Health, Protocol
from artemon.snapshot.build import build
from artemon.snapshot.changes import Change, ChangeSet, Delete, Upsert, union
from artemon.snapshot.impact import differences, touches
from artemon.snapshot.snapshot import Snapshot
from artemon.snapshot.view import ProxyView
from artemon.snapshot.world import World
from artemon.translate import Translator, translate

pytestmark = pytest.mark.slow

HOSTS = ("web.ns.svc.cluster.local", "a.com", "*.com")
SPACES = ("ns", "other")
PROXIES = (
    proxy(service="web", ip_addresses=("10.0.0.1",), locality="eu/a"),
    proxy(namespace="other", labels={"app": "db"}, intercepts=False, http_proxy_port=15080),
    proxy("gw", type=ProxyType.ROUTER, labels={"istio": "in"}),
)

spaces = st.sampled_from(SPACES)
modes = st.sampled_from(["STRICT", "DISABLE", "UNSET"])
ports = st.sampled_from(
    [
        (),
        (WorkloadPort(80, "http", Protocol.HTTP, 8080, 8081),),
        (WorkloadPort(81, "http", Protocol.AUTO, 9, 9),),
    ]
)


@st.composite
def workloads(draw: Any) -> Change:
    return joined(
        draw(st.sampled_from("ab")),
        draw(st.sampled_from(("web", "db", ""))),
        namespace=draw(spaces),
        address=draw(st.sampled_from(("10.0.0.1", "10.0.0.2"))),
        ports=draw(ports),
        labels={"app": draw(st.sampled_from(("web", "db")))},
        health=draw(st.sampled_from(Health)),
        locality=draw(st.sampled_from(("", "eu/a", "us"))),
    )


@st.composite
def entries(draw: Any) -> Change:
    choices: list[dict[str, Any]] = [
        {"workloadSelector": {"labels": {"app": "web"}}},
        {"workloadSelector": {"labels": {}}},
        {"endpoints": [{"address": "10.0.0.1", "serviceAccount": "sa"}]},
        {"resolution": "DNS"},
        {"exportTo": ["."]},
        {"location": "MESH_EXTERNAL"},
    ]
    created = draw(st.sampled_from(("", "2026-01-01T00:00:00Z")))
    name, host = draw(st.sampled_from("ef")), draw(st.sampled_from(HOSTS))
    return entry(name, host, namespace=draw(spaces), created=created, **draw(st.sampled_from(choices)))


@st.composite
def rules(draw: Any) -> Change:
    policies: list[dict[str, Any]] = [
        {},
        {"trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 1}}},
        {"subsets": [{"name": "v1", "labels": {"app": "web"}}], "exportTo": ["."]},
        {"workloadSelector": {"matchLabels": {"app": "client"}}, "exportTo": ["."]},
    ]
    spec = {"host": draw(st.sampled_from(HOSTS))} | draw(st.sampled_from(policies))
    return obj("DestinationRule", draw(st.sampled_from("rs")), spec, namespace=draw(spaces))


@st.composite
def others(draw: Any) -> Change:
    host = draw(st.sampled_from(HOSTS))
    route = {"http": [{"route": [{"destination": {"host": draw(st.sampled_from(HOSTS[:2]))}}]}]}
    selector = draw(st.sampled_from([{}, {"selector": {"matchLabels": {"app": "web"}}}]))
    policy = {"mtls": {"mode": draw(modes)}} | selector
    if selector:
        policy["portLevelMtls"] = {"8080": {"mode": draw(modes)}}
    servers = [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]
    made = [
        obj(
            "VirtualService",
            "v",
            {"hosts": [host], "gateways": ["g", "mesh"]} | route,
            namespace=draw(spaces),
        ),
        obj("PeerAuthentication", "p", policy, namespace=draw(st.sampled_from(("istio-system", *SPACES)))),
        obj("Sidecar", "s", {"egress": [{"hosts": [f"./{host}"]}]}, namespace=draw(spaces)),
        obj("WorkloadEntry", "w", {"address": "10.0.0.3", "labels": {"app": "web"}}, namespace=draw(spaces)),
        obj("Gateway", "g", {"selector": {"istio": "in"}, "servers": servers}),
        Upsert("mesh", MeshConfig(default_service_export_to=(draw(st.sampled_from("*.")),))),
    ]
    return draw(st.sampled_from(made))


upserts = st.one_of(workloads(), entries(), rules(), others())
batches = st.lists(
    st.lists(st.tuples(upserts, st.booleans()), min_size=1, max_size=4), min_size=1, max_size=8
)


def changes_of(batch: list[tuple[Change, bool]]) -> list[Change]:
    return [Delete(change.key) if gone else change for change, gone in batch]


def made_of(mesh: Snapshot, one: Proxy) -> dict[str, Any]:
    return {url: state.items for url, state in translate(mesh.view(one)).items()}


def may_differ(changes: ChangeSet, before: ProxyView, now: ProxyView) -> bool:
    return touches(changes, before) and bool(differences(before, now))


@settings(max_examples=60, deadline=None)
@given(batches=batches, together=st.integers(1, 3))
def test_building_on_equals_building_from_nothing(batches: Any, together: int) -> None:
    """Also when several batches are built at once, and when a translator remembers what it made before."""
    world, now, translator = World(), build(World()), Translator(lifetime=2)
    had = [translator.translate(now.view(one)) for one in PROXIES]
    pending: list[ChangeSet] = []
    for number, batch in enumerate(batches):
        pending.append(world.apply(changes_of(batch), ("epoch", number)))
        if len(pending) < together and batch is not batches[-1]:
            continue
        changes = union(pending)
        before, now, pending = now, build(world, now, changes), []
        scratch = build(world)
        assert now == scratch
        translator.turn()
        for index, one in enumerate(PROXIES):
            had[index] = translator.translate(now.view(one), had[index])
            made = made_of(scratch, one)
            assert {url: state.items for url, state in had[index].items()} == made
            if not may_differ(changes, before.view(one), now.view(one)):
                assert made_of(before, one) == made


@given(batch=st.lists(upserts, max_size=6))
def test_saying_the_same_again_changes_nothing(batch: list[Change]) -> None:
    world = World()
    last = {change.key: change for change in batch}
    world.apply(last.values())
    assert not world.apply(last.values())
