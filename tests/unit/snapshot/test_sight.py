"""What a proxy sees: services, their instances, rules and routes."""

from __future__ import annotations

from typing import Any

import pytest
from world_in_yaml import entry, joined, obj, proxy, snapshot

from artemon.errors import Problem
from artemon.model.proxy import ProxyType
from artemon.snapshot.build import build
from artemon.snapshot.changes import Bad, Change, Delete
from artemon.snapshot.world import World

WEB = "web.ns.svc.cluster.local"


def rule(name: str, host: str, *, namespace: str = "ns", **spec: Any) -> Change:
    policy = {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}, "subsets": [{"name": name}]}
    return obj("DestinationRule", name, {"host": host} | policy | spec, namespace=namespace)


@pytest.mark.parametrize(
    ("rules", "client", "chosen"),
    [
        pytest.param(
            [rule("s", "web"), rule("c", WEB, namespace="client")], "client", ["c"], id="client-first"
        ),
        pytest.param(
            [rule("s", "web"), rule("r", "*.cluster.local", namespace="istio-system")],
            "client",
            ["s"],
            id="then-owner",
        ),
        pytest.param([rule("r", "*.local", namespace="istio-system")], "client", ["r"], id="then-root"),
        pytest.param([rule("s", "web", exportTo=["."])], "client", [], id="private-to-the-owner"),
        pytest.param([rule("s", "web", exportTo=["client"])], "client", ["s"], id="exported-by-name"),
        pytest.param([rule("o", WEB, namespace="other")], "client", [], id="third-party-is-nothing"),
        pytest.param(
            [rule("a", "*.ns.svc.cluster.local"), rule("b", "web")], "ns", ["b"], id="exact-over-wildcard"
        ),
        pytest.param(
            [rule("a", "*.local"), rule("b", "*.svc.cluster.local")], "ns", ["b"], id="longest-wildcard"
        ),
        pytest.param([rule("a", "web"), rule("b", "web")], "ns", ["a", "b"], id="same-host-united"),
        pytest.param(
            [rule("a", "web"), rule("b", "web", workloadSelector={"matchLabels": {"app": "client"}})],
            "ns",
            ["b"],
            id="made-for-this-workload",
        ),
        pytest.param(
            [rule("a", "web"), rule("b", "web", workloadSelector={"matchLabels": {"app": "other"}})],
            "ns",
            ["a"],
            id="made-for-another-workload",
        ),
        pytest.param(
            [rule("p", WEB, namespace="istio-system", exportTo=["."]), rule("s", "web")],
            "istio-system",
            ["p"],
            id="root-client-private-first",
        ),
        pytest.param(
            [rule("p", WEB, namespace="istio-system"), rule("s", "web")],
            "istio-system",
            ["s"],
            id="root-client-owner",
        ),
    ],
)
def test_rules_for_a_client(rules: list[Change], client: str, chosen: list[str]) -> None:
    view = snapshot(joined("a"), *rules).view(proxy(namespace=client))
    subsets = [subset.name for found in view.destinations.values() for subset in found.subsets]
    assert subsets == chosen


@pytest.mark.parametrize(
    ("policy", "port", "subset", "expected"),
    [
        pytest.param({}, 80, "", (None, None), id="nothing"),
        pytest.param({"simple": "RANDOM"}, 80, "", ("RANDOM", None), id="rule"),
        pytest.param({"simple": "RANDOM"}, 80, "v1", ("ROUND_ROBIN", None), id="subset-over-rule"),
        pytest.param({"simple": "RANDOM", "pool": 5}, 80, "v1", ("ROUND_ROBIN", 5), id="block-by-block"),
        pytest.param(
            {"simple": "RANDOM", "pool": 5}, 90, "", ("LEAST_REQUEST", None), id="port-replaces-all"
        ),
        pytest.param({"simple": "RANDOM"}, 80, "v9", ("RANDOM", None), id="unknown-subset"),
    ],
)
def test_policy_in_force(
    policy: dict[str, Any], port: int, subset: str, expected: tuple[str | None, int | None]
) -> None:
    levels = [{"port": {"number": 90}, "loadBalancer": {"simple": "LEAST_REQUEST"}}]
    top: dict[str, Any] = {"portLevelSettings": levels}
    if "simple" in policy:
        top["loadBalancer"] = {"simple": policy["simple"]}
    if "pool" in policy:
        top["connectionPool"] = {"tcp": {"maxConnections": policy["pool"]}}
    subsets = [{"name": "v1", "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}}]
    written = obj("DestinationRule", "r", {"host": "web", "trafficPolicy": top, "subsets": subsets})
    found = snapshot(joined("a"), written).view(proxy()).destinations[WEB].policy_for(port, subset)
    balancer, pool = found.load_balancer, found.connection_pool
    assert (balancer and balancer.simple, pool and pool.tcp and pool.tcp.max_connections) == expected


@pytest.mark.parametrize(
    ("objects", "client", "hosts"),
    [
        pytest.param([entry("e", "a.com")], "other", ["a.com"], id="exported-to-all"),
        pytest.param([entry("e", "a.com", exportTo=["."])], "other", [], id="private"),
        pytest.param([entry("e", "a.com", exportTo=["other"])], "other", ["a.com"], id="exported-by-name"),
        pytest.param([entry("e", "a.com", exportTo=["~"])], "ns", [], id="exported-to-nobody"),
        pytest.param([entry("e", WEB, namespace="thief")], "ns", [], id="not-anothers-host"),
        pytest.param(
            [
                obj("Sidecar", "s", {"egress": [{"hosts": ["./*"]}]}),
                entry("e", "a.com"),
                entry("f", "b.com", namespace="o"),
            ],
            "ns",
            ["a.com"],
            id="sidecar-own-namespace",
        ),
        pytest.param(
            [
                obj("Sidecar", "s", {"egress": [{"hosts": ["*/*.com"]}]}, namespace="istio-system"),
                entry("e", "a.com"),
                entry("f", "b.net"),
            ],
            "ns",
            ["a.com"],
            id="sidecar-of-the-root-namespace",
        ),
        pytest.param(
            [
                obj("Sidecar", "s", {"egress": [{"hosts": ["./a.com"]}]}),
                obj(
                    "VirtualService",
                    "v",
                    {"hosts": ["a.com"], "http": [{"route": [{"destination": {"host": "b.com"}}]}]},
                ),
                entry("e", "a.com"),
                entry("f", "b.com", namespace="o"),
            ],
            "ns",
            ["a.com", "b.com"],
            id="sidecar-brings-what-its-routes-need",
        ),
    ],
)
def test_services_in_sight(objects: list[Change], client: str, hosts: list[str]) -> None:
    assert list(snapshot(*objects).view(proxy(namespace=client)).services) == hosts


def test_of_one_host_the_own_then_the_older_definition_counts() -> None:
    young = entry("young", "a.com", namespace="y", created="2026-01-02T00:00:00Z")
    old = entry("old", "a.com", namespace="o", created="2026-01-01T00:00:00Z")
    mesh = snapshot(young, old)
    owners = {
        client: mesh.view(proxy(namespace=client)).services["a.com"].namespace for client in ("y", "o", "z")
    }
    assert owners == {"y": "y", "o": "o", "z": "o"}


def test_a_report_lasts_as_long_as_its_reason() -> None:
    world, theft = World(), entry("e", WEB, namespace="thief")
    reported = []
    for change in (theft, theft, Bad(theft.key, (Problem("", "x"),)), theft, Delete(theft.key)):
        world.apply([change])
        reported.append([problem.message[:11] for problem in world.problems.get(theft.key, ())])
    taken = f'"{WEB}"'[:11]
    assert reported == [[taken], [taken], ["x"], [taken], []]


def test_a_taken_host_is_reported() -> None:
    theft = entry("e", WEB, namespace="thief")
    (problem,) = snapshot(theft).problems[theft.key]
    assert problem.path == "spec.hosts[0]"
    assert "belongs to namespace ns" in problem.message


def test_entry_takes_precedence_over_what_workloads_declare() -> None:
    mine = entry(
        "e", WEB, workloadSelector={"labels": {"app": "web"}}, ports=[{"number": 81, "name": "http"}]
    )
    view = snapshot(joined("a"), mine).view(proxy())
    assert [port.number for port in view.services[WEB].ports] == [81]
    assert [one.ports for one in view.endpoints[WEB]] == [{"http": 8080}]


def test_selectors_find_entries_and_joined_workloads_of_their_namespace_only() -> None:
    selecting = entry("e", "a.com", workloadSelector={"labels": {"app": "web"}})
    members = [
        joined("a", address="10.0.0.1"),
        joined("b", "db", address="10.0.0.2"),
        joined("c", namespace="other", address="10.0.0.3"),
        obj("WorkloadEntry", "w", {"address": "10.0.0.4", "labels": {"app": "web"}, "weight": 7}),
        obj("WorkloadEntry", "x", {"address": "10.0.0.5", "labels": {"app": "web"}}, namespace="other"),
    ]
    found = snapshot(selecting, *members).view(proxy()).endpoints["a.com"]
    assert {(one.address, one.weight) for one in found} == {("10.0.0.1", 1), ("10.0.0.4", 7)}


def test_a_dns_service_without_instances_is_found_by_its_name() -> None:
    found = snapshot(entry("e", "a.com", resolution="DNS")).view(proxy()).endpoints["a.com"]
    assert [(one.address, one.ports) for one in found] == [("a.com", {"http": 80})]


@pytest.mark.parametrize(
    ("fields", "hosts"),
    [
        pytest.param({"service": "web"}, [WEB], id="registered"),
        pytest.param({"labels": {"app": "x"}}, ["selected.com"], id="selected"),
        pytest.param({"ip_addresses": ("10.9.9.9",)}, ["listed.com"], id="listed-by-address"),
        pytest.param(
            {"namespace": "other", "labels": {"app": "x"}, "ip_addresses": ("10.9.9.9",)}, [], id="elsewhere"
        ),
    ],
)
def test_services_that_a_proxy_serves(fields: dict[str, Any], hosts: list[str]) -> None:
    mesh = snapshot(
        joined("a"),
        entry("s", "selected.com", workloadSelector={"labels": {"app": "x"}}),
        entry("l", "listed.com", endpoints=[{"address": "10.9.9.9"}]),
    )
    assert [service.host for service in mesh.view(proxy(**fields)).own] == hosts


def test_routes_carry_full_names_oldest_first() -> None:
    route = {"http": [{"route": [{"destination": {"host": "web"}}], "match": [{"gateways": ["g"]}]}]}
    young = obj("VirtualService", "a", {"hosts": ["web"]} | route, creationTimestamp="2026-01-02T00:00:00Z")
    old = obj(
        "VirtualService",
        "b",
        {"hosts": ["web"], "gateways": ["g", "mesh"]} | route,
        creationTimestamp="2026-01-01T00:00:00Z",
    )
    first, second = snapshot(young, old).view(proxy()).virtual_services
    assert (first.meta.name, first.spec.hosts, first.spec.gateways) == ("b", (WEB,), ("ns/g", "mesh"))
    assert first.spec.http[0].match[0].gateways == ("ns/g",)
    assert second.spec.http[0].route[0].destination is not None
    assert second.spec.http[0].route[0].destination.host == WEB


def test_gateways_are_chosen_by_label() -> None:
    mesh = snapshot(*(obj("Gateway", name, {"selector": {"istio": name}}) for name in ("in", "out")))
    router = proxy("gw", type=ProxyType.ROUTER, labels={"istio": "in"}, namespace="elsewhere")
    assert [one.meta.name for one in mesh.view(router).gateways] == ["in"]
    assert mesh.view(proxy(labels={"istio": "in"})).gateways == ()


def test_a_bad_object_leaves_the_last_good_one_in_force() -> None:
    world, good = World(), entry("e", "a.com")
    world.apply([good, entry("f", "b.com")])
    changes = world.apply([Bad(good.key, (Problem("spec", "is broken"),))])
    after = build(world)
    assert not changes
    assert list(after.view(proxy()).services) == ["a.com", "b.com"]
    assert [str(one) for one in after.problems[good.key]] == ["spec: is broken"]
