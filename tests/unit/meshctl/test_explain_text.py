"""The text of `meshctl explain`: who won, and what it shadowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from meshctl.commands.explain import explain

HOST = "reviews.default.svc.cluster.local"


def obj(kind: str, name: str, spec: dict[str, Any], *, day: int = 1) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default", "creationTimestamp": f"2026-01-{day:02}T00:00:00Z"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def to(subset: str) -> list[dict[str, Any]]:
    return [{"destination": {"host": "reviews", "subset": subset}}]


def subsets(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "labels": {"version": name}} for name in names]


ENTRY = obj(
    "ServiceEntry",
    "reviews",
    {
        "hosts": [HOST],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    },
)
RANDOM = {"loadBalancer": {"simple": "RANDOM"}}
OBJECTS = [
    ENTRY,
    obj(
        "VirtualService",
        "old",
        {
            "hosts": ["reviews"],
            "http": [
                {"name": "ann", "match": [{"headers": {"user": {"exact": "ann"}}}], "route": to("v2")},
                {"name": "rest", "route": to("v1")},
            ],
        },
    ),
    obj("VirtualService", "young", {"hosts": ["reviews"], "http": [{"route": to("v2")}]}, day=2),
    obj("VirtualService", "wide", {"hosts": ["*.local"], "http": [{"route": to("v2")}]}),
    obj("DestinationRule", "first", {"host": "reviews", "trafficPolicy": RANDOM, "subsets": subsets("v1")}),
    obj(
        "DestinationRule",
        "second",
        {"host": "reviews", "trafficPolicy": RANDOM, "subsets": subsets("v1", "v2")},
        day=2,
    ),
]


def told(folder: Path, *objects: dict[str, Any], output: str = "text", **call: Any) -> str:
    """What the command prints for a call of `reviews` by a sidecar."""
    files = {
        "mesh": {"apiVersion": "v1", "kind": "List", "items": list(objects)},
        "proxy": {},
        "call": {"port": 80, "protocol": "http", "host": "reviews", "path": "/", **call},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    arguments = ["-f", str(folder / "mesh.json"), "-o", output]
    arguments += ["--proxy", str(folder / "proxy.json"), "--call", str(folder / "call.json")]
    result = CliRunner().invoke(explain, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_text_says_who_won_and_what_it_shadowed(tmp_path: Path) -> None:
    lines = [line.rstrip() for line in told(tmp_path, *OBJECTS).splitlines()]
    assert lines[lines.index(next(one for one in lines if one.startswith("route"))) :] == [
        "route         rest: prefix /",
        "                not route ann (prefix /, header user): header user is absent",
        f"cluster       outbound|80|v1|{HOST}: the only one",
        f"rule          VirtualService/default/old: it speaks for {HOST}",
        "                not VirtualService/default/young: it is younger (created 2026-01-02T00:00:00Z)",
        "                not VirtualService/default/wide: its host *.local is less exact",
        "policy        DestinationRule/default/first: it is for reviews, gives subsets v1",
        "policy        DestinationRule/default/second: it is for reviews, gives subsets v2",
        "                not its subset v1: an older rule has it",
        "                not its trafficPolicy: that of DestinationRule/default/first counts",
        "",
        f"cluster: outbound|80|v1|{HOST}",
    ]


def test_a_rule_whose_routes_are_for_others_is_named(tmp_path: Path) -> None:
    match = [{"sourceLabels": {"app": "another"}}]
    others = obj("VirtualService", "a", {"hosts": ["reviews"], "http": [{"match": match, "route": to("v2")}]})
    found = told(tmp_path, ENTRY, others, *OBJECTS[1:2])
    assert "not VirtualService/default/a: none of its routes is for this client, port and request" in found


def test_an_egress_gateway_is_named(tmp_path: Path) -> None:
    spec = {**ENTRY["spec"], "hosts": ["api.example.com"], "location": "MESH_EXTERNAL", "resolution": "DNS"}
    entry = obj("ServiceEntry", "api", spec)
    entry["metadata"]["annotations"] = {"artemon.io/egress-gateway": "default/out"}
    tls = {"port": {"number": 15443, "name": "tls", "protocol": "TLS"}, "hosts": ["*"]}
    gateway = obj(
        "Gateway", "out", {"selector": {"app": "out"}, "servers": [{**tls, "tls": {"mode": "ISTIO_MUTUAL"}}]}
    )
    found = told(tmp_path, entry, gateway, host="api.example.com")
    assert "the only one, by way of egress gateway default/out" in found
    closed = told(tmp_path, entry, host="api.example.com")
    assert "no Gateway default/out lets it out by mutual TLS" in closed
    assert "client gets: status 503" in closed


def test_faults_are_told(tmp_path: Path) -> None:
    def aborting(percent: float, **abort: Any) -> dict[str, Any]:
        fault = {"abort": {**abort, "percentage": {"value": percent}}}
        route = [{"destination": {"host": "reviews"}}]
        return obj("VirtualService", "a", {"hosts": ["reviews"], "http": [{"fault": fault, "route": route}]})

    always = told(tmp_path, ENTRY, aborting(100, httpStatus=418))
    assert "answers 100% of all requests by itself: status 418" in always
    assert "client gets: status 418" in always
    by_chance = json.loads(told(tmp_path, ENTRY, aborting(2.5, httpStatus=418), output="json"))
    assert "response" not in by_chance
    assert "strict" not in by_chance
    calls = told(tmp_path, ENTRY, aborting(100, grpcStatus="UNAVAILABLE"))
    assert "client gets: grpcStatus 14" in calls


def test_json_stays_what_it_was(tmp_path: Path) -> None:
    assert set(json.loads(told(tmp_path, *OBJECTS, output="json"))) == {
        "listener",
        "routeConfig",
        "virtualHost",
        "route",
        "cluster",
        "strict",
    }
