"""Objects of a cluster's edge: whose class they are of, what their status says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artemon.kube.kinds import INGRESS_CLASS, NAMESPACE, SERVICE
from artemon.model.kinds import GATEWAY_CLASS, HTTP_ROUTE, INGRESS, KUBERNETES_GATEWAY
from artemon.model.mesh_config import MeshConfig
from artemon.snapshot.edge.derive import derive
from artemon.snapshot.edge.known import NAMESPACE_LABELS
from galleyd.clusters.edge_status import addresses_of, gateway_status, route_status, same_status
from galleyd.clusters.edge_stock import Stock, objects_of

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
OTHER = {"parentRef": {"name": "x"}, "controllerName": "other.example/c", "conditions": []}


def obj(name: str, spec: Any, namespace: str = "shop", **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "generation": 3, **meta}, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "around", "field", "named", "copied"),
    [
        (KUBERNETES_GATEWAY, {}, "gatewayClassName", "istio", "istio"),
        (KUBERNETES_GATEWAY, {}, "gatewayClassName", "mine", None),
        (KUBERNETES_GATEWAY, {"mine": "istio.io/gateway-controller"}, "gatewayClassName", "mine", "istio"),
        (KUBERNETES_GATEWAY, {"istio": "other.example/c"}, "gatewayClassName", "istio", None),
        (INGRESS, {}, "ingressClassName", "nginx", "nginx"),
        (INGRESS, {"mine": "istio.io/ingress-controller"}, "ingressClassName", "mine", "istio"),
        (INGRESS, {"istio": "k8s.io/ingress-nginx"}, "ingressClassName", "istio", None),
    ],
)
def test_classes_of_a_cluster(kind: Any, around: Any, field: str, named: str, copied: str | None) -> None:
    stock = Stock()
    for name, controller in around.items():
        one = {"metadata": {"name": name}, "spec": {"controllerName": controller, "controller": controller}}
        stock.objects[GATEWAY_CLASS if kind is KUBERNETES_GATEWAY else INGRESS_CLASS]["", name] = one
    found = stock.shaped(kind, obj("a", {field: named}), MeshConfig())
    assert (found and found["spec"][field]) == copied


def test_routes_carry_the_labels_of_their_namespace() -> None:
    stock = Stock()
    stock.objects[NAMESPACE]["", "shop"] = {"metadata": {"name": "shop", "labels": {"edge": "yes"}}}
    forged = obj("a", {}, annotations={NAMESPACE_LABELS: '{"admin": "yes"}'})
    found = stock.shaped(HTTP_ROUTE, forged, MeshConfig())
    assert found
    assert json.loads(found["metadata"]["annotations"][NAMESPACE_LABELS]) == {"edge": "yes"}


def said(*, ports: list[dict[str, Any]]) -> Any:
    """Of a Gateway with a route to the Service web, which has these ports."""
    stock = Stock()
    stock.objects[SERVICE]["shop", "web"] = obj("web", {"ports": ports, "clusterIP": "10.0.0.1"})
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    route = obj(
        "r",
        {
            "parentRefs": [{"name": "x"}, {"name": "g"}],
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        },
    )
    seen = {
        KUBERNETES_GATEWAY: [obj("g", {"gatewayClassName": "istio", "listeners": [listener]})],
        HTTP_ROUTE: [route],
    }
    return derive(objects_of(seen), stock.known(MeshConfig(), (), ())), seen[HTTP_ROUTE][0]


def test_a_routes_status_keeps_what_others_say() -> None:
    derived, route = said(ports=[{"port": 80}])
    first = route_status(derived.routes_said[0], {**route, "status": {"parents": [OTHER]}}, NOW)
    assert first["parents"][0] == OTHER
    ours = first["parents"][1]
    assert (ours["parentRef"], ours["controllerName"]) == ({"name": "g"}, "istio.io/gateway-controller")
    assert {one["type"]: one["status"] for one in ours["conditions"]} == {
        "Accepted": "True",
        "ResolvedRefs": "True",
    }
    assert all(one["observedGeneration"] == 3 for one in ours["conditions"])
    changed, _ = said(ports=[])
    second = route_status(changed.routes_said[0], {**route, "status": first}, LATER)
    times = {one["type"]: one["lastTransitionTime"] for one in second["parents"][1]["conditions"]}
    assert times == {"Accepted": NOW, "ResolvedRefs": LATER}
    assert not same_status(first, second)
    again = route_status(changed.routes_said[0], {**route, "status": second}, LATER)
    assert same_status(second, again)


def test_a_gateways_status() -> None:
    derived, _ = said(ports=[{"port": 80}])
    found = gateway_status(
        derived.gateways_said[0], obj("g", {}), [{"ip": "192.0.2.1"}, {"hostname": "a.b"}], NOW
    )
    assert found["addresses"] == [
        {"type": "IPAddress", "value": "192.0.2.1"},
        {"type": "Hostname", "value": "a.b"},
    ]
    (listener,) = found["listeners"]
    assert (listener["name"], listener["attachedRoutes"]) == ("http", 1)
    assert {one["type"] for one in listener["conditions"]} == {
        "Conflicted",
        "Accepted",
        "Programmed",
        "ResolvedRefs",
    }


def test_addresses_of_services() -> None:
    balancer = {"ingress": [{"ip": "192.0.2.1", "ports": []}, {"hostname": "lb.example"}, "odd"]}
    assert addresses_of({"status": {"loadBalancer": balancer}}) == [
        {"ip": "192.0.2.1"},
        {"hostname": "lb.example"},
    ]
    assert addresses_of(None) == addresses_of({"status": None}) == addresses_of({"status": {}}) == []
