"""Ingresses and Gateway API of a real cluster at a real gateway, and what the cluster is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cluster_site import NS, ClusterMesh
from edge_site import (
    ADDRESS,
    GATEWAYS,
    HTTP_ROUTES,
    INGRESSES,
    EdgeGateway,
    balanced,
    events_about,
    in_words,
    status_of,
    written,
)
from kube_server import until

pytestmark = [pytest.mark.kube, pytest.mark.envoy, pytest.mark.timeout(600)]
API = "/apis/networking.k8s.io/v1/ingressclasses"
CLASSES = "/apis/gateway.networking.k8s.io/v1/gatewayclasses"


@pytest.fixture(scope="module")
def edge(cluster_mesh: ClusterMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeGateway]:
    made = EdgeGateway(cluster_mesh, tmp_path_factory.mktemp("edge"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_ingresses_are_served_and_told_where(cluster_mesh: ClusterMesh, edge: EdgeGateway) -> None:
    kube = cluster_mesh.kube
    for name, controller in (("mesh", "istio.io/ingress-controller"), ("nginx", "k8s.io/ingress-nginx")):
        meta = {"metadata": {"name": name}, "spec": {"controller": controller}}
        kube.create(API, {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", **meta})
    kube.create("/api/v1/namespaces", {"metadata": {"name": "istio-system"}})
    balanced(cluster_mesh, "istio-system", "istio-ingressgateway")

    def paths(*many: tuple[str, str, Any]) -> dict[str, Any]:
        listed = [
            {"path": path, "pathType": kind, "backend": {"service": {"name": "web", "port": port}}}
            for path, kind, port in many
        ]
        return {"paths": listed}

    http = paths(("/tea", "Prefix", {"name": "http"}), ("/bad", "Exact", {"name": "nope"}))
    spec = {"ingressClassName": "mesh", "rules": [{"host": "shop.example", "http": http}]}
    kube.create(INGRESSES, written("Ingress", "tea", spec))
    foreign = {"ingressClassName": "nginx", "rules": [{"host": "other.example", "http": http}]}
    kube.create(INGRESSES, written("Ingress", "foreign", foreign))
    until(lambda: edge.get("shop.example", "/tea/cup") == (200, "web-1"), "an answer by the Ingress")
    assert edge.get("shop.example", "/teapot")[0] == 404
    assert edge.get("shop.example", "/bad")[0] == 503
    until(lambda: status_of(cluster_mesh, f"{INGRESSES}/tea")["loadBalancer"], "the address")
    assert status_of(cluster_mesh, f"{INGRESSES}/tea")["loadBalancer"]["ingress"][0]["ip"] == ADDRESS
    assert status_of(cluster_mesh, f"{INGRESSES}/foreign") == {"loadBalancer": {}}
    until(lambda: any("has no port nope" in one for one in events_about(cluster_mesh, "tea")), "the Event")
    assert edge.get("other.example", "/tea")[0] == 404
    kube.call("PATCH", f"{INGRESSES}/foreign", {"spec": {"ingressClassName": "mesh"}})
    until(lambda: edge.get("other.example", "/tea") == (200, "web-1"), "the other class")
    kube.call("DELETE", f"{INGRESSES}/tea")
    until(lambda: edge.get("shop.example", "/tea")[0] == 404, "the deletion")
    kube.call("DELETE", f"{INGRESSES}/foreign")


def test_gateway_api_is_served_and_its_conditions_say_so(
    cluster_mesh: ClusterMesh, edge: EdgeGateway
) -> None:
    mesh, kube = cluster_mesh, cluster_mesh.kube
    until(lambda: kube.found(HTTP_ROUTES) and kube.found(CLASSES), "the kinds")
    made = {"metadata": {"name": "mesh"}, "spec": {"controllerName": "istio.io/gateway-controller"}}
    head = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass"}
    until(lambda: kube.create(CLASSES, {**head, **made}), "the storage of the kind")
    until(lambda: status_of(mesh, f"{CLASSES}/mesh").get("conditions"), "the class accepted")
    balanced(mesh, "shop", "front", **{"gateway.networking.k8s.io/gateway-name": "edge"})
    selector = {"matchLabels": {"edge": "yes"}}
    listener = {
        "name": "http",
        "port": 8080,
        "protocol": "HTTP",
        "hostname": "*.example",
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}},
    }
    spec = {"gatewayClassName": "mesh", "listeners": [listener]}
    until(lambda: kube.create(GATEWAYS, written("Gateway", "edge", spec)), "the Gateway's storage")
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}
    rules: list[dict[str, Any]] = [
        {"matches": [{"path": {"value": "/tea"}}], "backendRefs": [{"name": "web", "port": 80}]},
        {"matches": [{"path": {"value": "/old"}}], "filters": [redirect]},
        {"matches": [{"path": {"value": "/gone"}}], "backendRefs": [{"name": "gone", "port": 80}]},
    ]
    of = {"parentRefs": [{"name": "edge"}], "hostnames": ["a.example"], "rules": rules}
    until(lambda: kube.create(HTTP_ROUTES, written("HTTPRoute", "tea", of)), "the route's storage")

    def parent() -> dict[str, tuple[str, str]]:
        parents = status_of(mesh, f"{HTTP_ROUTES}/tea").get("parents") or [{"conditions": []}]
        return in_words(parents[0]["conditions"])

    until(lambda: parent().get("Accepted") == ("False", "NotAllowedByListeners"), "the refusal")
    kube.call("PATCH", NS, {"metadata": {"labels": {"edge": "yes"}}})
    until(lambda: edge.get("a.example", "/tea/cup", port=8080) == (200, "web-1"), "an answer by the route")
    assert edge.get("a.example", "/teapot", port=8080)[0] == 404
    assert edge.get("a.example", "/old/x", port=8080) == (302, "http://b.example:8080/old/x")
    assert edge.get("a.example", "/gone", port=8080)[0] == 500
    until(lambda: parent().get("Accepted") == ("True", "Accepted"), "accepted")
    assert parent()["ResolvedRefs"] == ("False", "BackendNotFound")
    until(lambda: (status_of(mesh, f"{GATEWAYS}/edge").get("addresses") or [{}])[0], "the Gateway's address")

    def attached() -> bool:
        return status_of(mesh, f"{GATEWAYS}/edge")["listeners"][0]["attachedRoutes"] == 1

    until(attached, "the route counted")
    found = status_of(mesh, f"{GATEWAYS}/edge")
    assert found["addresses"] == [{"type": "IPAddress", "value": ADDRESS}]
    assert in_words(found["conditions"]) == {
        "Accepted": ("True", "Accepted"),
        "Programmed": ("True", "Programmed"),
    }
    kube.call("DELETE", f"{HTTP_ROUTES}/tea")
    until(lambda: edge.get("a.example", "/tea", port=8080)[0] == 404, "the deletion")
