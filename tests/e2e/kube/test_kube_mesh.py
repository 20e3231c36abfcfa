"""A mesh whose services and configuration are a cluster's, and a proxy that joined by its pod's token."""

from __future__ import annotations

import json

import pytest
from cluster_site import NS, ROUTES, ClusterMesh, route
from kube_server import Refusal, until

pytestmark = [pytest.mark.kube, pytest.mark.envoy, pytest.mark.timeout(600)]
WEB = "http://web.shop.svc.cluster.local/"
HOOK = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/artemon-validator"


@pytest.fixture
def mesh(cluster_mesh: ClusterMesh) -> ClusterMesh:
    return cluster_mesh


def written(mesh: ClusterMesh, code: int) -> int:
    """Route web of the cluster answers /tea with `code`, and is in force; its generation."""
    if mesh.kube.found(f"{ROUTES}/web"):
        spec = route("web", code=code)["spec"]
        obj = mesh.kube.call("PATCH", f"{ROUTES}/web", {"spec": spec})
    else:
        obj = mesh.kube.create(ROUTES, route("web", code=code))
    until(lambda: mesh.get(f"{WEB}tea")[0] == code, "the route in force")
    return int(obj["metadata"]["generation"])


def test_a_service_of_the_cluster_is_reached(mesh: ClusterMesh) -> None:
    until(lambda: mesh.get(WEB) == (200, "web-1"), "an answer by the cluster's Service")


def test_pods_are_told_whom_to_trust(mesh: ClusterMesh) -> None:
    """By the rights that `meshctl install` gives citadeld."""
    path = f"{NS}/configmaps/istio-ca-root-cert"
    root = mesh.root.read_text().strip()
    until(
        lambda: (mesh.kube.found(path) or {"data": {}})["data"].get("root-cert.pem", "").strip() == root, path
    )


def test_a_route_of_the_cluster_is_in_force_and_its_status_says_so(mesh: ClusterMesh) -> None:
    first = written(mesh, 418)
    assert mesh.get(WEB) == (200, "web-1")
    assert mesh.condition(f"{ROUTES}/web", "Accepted")["status"] == "True"
    until(lambda: mesh.condition(f"{ROUTES}/web", "Reconciled")["status"] == "True", "Reconciled")
    assert mesh.condition(f"{ROUTES}/web", "Reconciled")["message"] == "1/1 proxies have it"
    stored = json.loads(mesh.meshctl("get", "virtualservice", "web", "-n", "shop", "-o", "json"))
    uid = mesh.kube.call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert stored["metadata"]["annotations"] == {"artemon.io/cluster": f"east/{uid}"}
    assert written(mesh, 503) == first + 1
    until(lambda: mesh.condition(f"{ROUTES}/web", "Reconciled")["status"] == "True", "the new generation")


def test_what_is_wrong_is_said_and_hurts_only_itself(mesh: ClusterMesh) -> None:
    told = mesh.condition(f"{ROUTES}/wrong", "Accepted")
    assert (told["status"], told["reason"]) == ("False", "Invalid")
    assert "spec.http[0].timeout" in told["message"]
    assert mesh.condition(f"{ROUTES}/wrong", "Reconciled")["status"] == "False"
    assert mesh.get(f"{WEB}wrong") == (200, "web-1")


def test_what_is_written_now_is_judged_first_and_the_bundle_is_kept_right(mesh: ClusterMesh) -> None:
    right = mesh.kube.call("GET", HOOK)["webhooks"][0]["clientConfig"]["caBundle"]
    broken = mesh.kube.call("GET", HOOK)
    broken["webhooks"][0]["clientConfig"]["caBundle"] = ""
    mesh.kube.call("PUT", HOOK, broken)

    def bundle() -> str:
        return str(mesh.kube.call("GET", HOOK)["webhooks"][0]["clientConfig"].get("caBundle"))

    until(lambda: bundle() == right, "the bundle mended")
    bad = route("late")
    bad["spec"]["http"][0]["timeout"] = "0.1ms"

    def refusal() -> str:
        try:
            mesh.kube.create(f"{ROUTES}?dryRun=All", bad)
        except Refusal as refused:
            return refused.message
        return ""

    until(lambda: "spec.http[0].timeout: must be at least 1ms" in refusal(), "the webhook in force")


def test_the_meshs_own_goes_before_the_clusters(mesh: ClusterMesh) -> None:
    written(mesh, 503)
    own = route("web", code=409)
    mesh.meshctl("apply", "-f", "-", stdin=json.dumps(own))
    until(lambda: mesh.get(f"{WEB}tea")[0] == 409, "the mesh's own")

    def reason() -> str:
        return str(mesh.condition(f"{ROUTES}/web", "Accepted")["reason"])

    until(lambda: reason() == "Conflict", "the conflict")
    assert "written to the mesh itself" in mesh.condition(f"{ROUTES}/web", "Accepted")["message"]
    mesh.meshctl("delete", "virtualservice", "web", "-n", "shop")
    until(lambda: mesh.get(f"{WEB}tea")[0] == 503, "the cluster's again")
    until(lambda: reason() == "Accepted", "accepted again")


def test_a_cluster_that_vanishes_freezes_and_comes_back(mesh: ClusterMesh) -> None:
    written(mesh, 503)
    mesh.kube.kill()
    until(lambda: "cluster_lost" in mesh.log("galleyd"), "galleyd to notice")
    assert (mesh.get(WEB), mesh.get(f"{WEB}tea")[0]) == ((200, "web-1"), 503)
    mesh.kube.run()
    mesh.kube.call("DELETE", f"{ROUTES}/web")
    until(lambda: mesh.get(f"{WEB}tea") == (200, "web-1"), "the deletion, after the outage")
