"""`meshctl install` against a real API server.

Kinds with schema, names, columns and status; rights; webhook.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from injection_site import HOOKS
from istio_objects import objects
from kube_server import KubeApi, Refusal, until

from artemon.errors import Refused
from artemon.model.decode import decode
from artemon.model.kinds import GATEWAY_API_KINDS, KINDS
from artemon.model.yaml_text import parse

pytestmark = [pytest.mark.kube, pytest.mark.timeout(300)]
EVERY = (*KINDS, *GATEWAY_API_KINDS)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def meshctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshctl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def installed(kube: KubeApi) -> KubeApi:
    where = ("--kubeconfig", str(kube.kubeconfig()), "--injector", "https://127.0.0.1:9")
    done = meshctl("install", *where, "--gateway-api")
    assert done.returncode == 0, done.stderr
    for kind in EVERY:
        until(partial(established, kube, f"{kind.plural}.{kind.group}"), kind.name)
    return kube


def conditions(kube: KubeApi, name: str) -> dict[str, str]:
    status = kube.call("GET", f"{CRDS}/{name}").get("status") or {}
    return {one["type"]: one["status"] for one in status.get("conditions") or ()}


def established(kube: KubeApi, name: str) -> bool:
    return conditions(kube, name).get("Established") == "True"


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.unique)
def test_every_kind_has_a_schema_that_the_server_takes(installed: KubeApi, kind: Any) -> None:
    found = conditions(installed, f"{kind.plural}.{kind.group}")
    assert found.get("NamesAccepted") == "True"
    assert "NonStructuralSchema" not in found
    assert ("KubernetesAPIApprovalPolicyConformant" in found) is (kind in GATEWAY_API_KINDS)
    names = installed.call("GET", f"{CRDS}/{kind.plural}.{kind.group}")["status"]["acceptedNames"]
    assert set(names.get("shortNames") or ()) == {*kind.short_names} - {kind.plural, kind.singular}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(obj=objects())
def test_what_the_mesh_takes_the_cluster_takes_and_keeps_whole(
    installed: KubeApi, obj: dict[str, Any]
) -> None:
    """The server's schema and ours agree on what has the right shape, and the server drops no field."""
    try:
        decode(obj)
    except Refused:
        return
    kind = next(one for one in KINDS if one.name == obj["kind"])
    body = {**obj, "metadata": {"name": "random", "namespace": "default"}}
    version = obj["apiVersion"].rpartition("/")[2]
    path = f"/apis/{kind.group}/{version}/namespaces/default/{kind.plural}"
    made = installed.create(f"{path}?dryRun=All&fieldValidation=Strict", body)
    assert made["spec"] == obj["spec"]


def test_wrong_fields_are_refused_by_the_server_itself(installed: KubeApi) -> None:
    body = {"metadata": {"name": "wrong"}, "spec": {"hosts": "reviews"}}
    path = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"
    with pytest.raises(Refusal, match=r"spec\.hosts"):
        installed.create(path, {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", **body})


def test_status_is_a_subresource(installed: KubeApi) -> None:
    path = "/apis/networking.istio.io/v1/namespaces/default/sidecars"
    body = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "s"}, "spec": {}}
    made = installed.create(path, body)
    status = {"conditions": [{"type": "Accepted", "status": "True"}]}
    installed.call("PUT", f"{path}/s/status", {**made, "status": status})
    assert installed.call("GET", f"{path}/s")["status"] == status


def test_installing_again_changes_nothing(installed: KubeApi) -> None:
    before = installed.call("GET", f"{CRDS}/gateways.networking.istio.io")["metadata"]["resourceVersion"]
    test_kubeconfig = str(installed.kubeconfig())
    done = meshctl("install", "--kubeconfig", test_kubeconfig, "--injector", "https://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert (
        installed.call("GET", f"{CRDS}/gateways.networking.istio.io")["metadata"]["resourceVersion"] == before
    )
    assert len(installed.call("GET", f"{HOOKS}/artemon-sidecar-injector")["webhooks"]) == 4


def test_the_printed_objects_are_the_applied_ones(installed: KubeApi) -> None:
    done = meshctl("install", "--dry-run", "--injector", "https://127.0.0.1:9")
    names = {(one.value["kind"], one.value["metadata"]["name"]) for one in parse(done.stdout)}
    assert ("CustomResourceDefinition", "virtualservices.networking.istio.io") in names
    for kind, name in names:
        if kind == "CustomResourceDefinition":
            assert installed.call("GET", f"{CRDS}/{name}")


def test_who_may_not_install_is_told_the_rules(kube: KubeApi) -> None:
    """And what they grant suffices."""
    config = str(kube.kubeconfig(kube.stranger))
    done = meshctl("install", "--kubeconfig", config, "--injector", "https://127.0.0.1:9")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    rules = {
        "namespaces": "",
        "serviceaccounts": "",
        "customresourcedefinitions": "apiextensions.k8s.io",
        "clusterroles": "rbac.authorization.k8s.io",
        "clusterrolebindings": "rbac.authorization.k8s.io",
        "mutatingwebhookconfigurations": "admissionregistration.k8s.io",
    }
    for resource, group in rules.items():
        more = ", escalate, bind" if resource == "clusterroles" else ""
        told = f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: [create, patch{more}]}}'
        assert told in done.stderr, resource
    granted = [
        {"apiGroups": [group], "resources": [resource], "verbs": ["create", "patch"]}
        for resource, group in rules.items()
    ]
    granted[3]["verbs"] += ["escalate", "bind"]
    path = "/apis/rbac.authorization.k8s.io/v1"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "installer"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "stranger"}
    kube.create(f"{path}/clusterroles", {"metadata": {"name": "installer"}, "rules": granted})
    binding = {"metadata": {"name": "installer"}, "roleRef": role, "subjects": [subject]}
    kube.create(f"{path}/clusterrolebindings", binding)

    def installs() -> bool:
        again = meshctl("install", "--kubeconfig", config, "--injector", "https://127.0.0.1:9")
        return again.returncode == 0

    until(installs, "the installation")


def test_what_is_wrong_is_said() -> None:
    done = meshctl("install", "--dry-run", "--injector", "nowhere", "--revision", "A")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--injector" in done.stderr
    assert '"A" is not a name' in done.stderr
    assert meshctl("install").returncode == 2


def test_kinds_that_somebody_else_gave_the_cluster_stay_as_they_are(installed: KubeApi) -> None:
    path = f"{CRDS}/httproutes.gateway.networking.k8s.io"
    installed.call("PATCH", path, {"metadata": {"labels": {"app.kubernetes.io/part-of": "others"}}})
    before = installed.call("GET", path)["metadata"]["resourceVersion"]
    where = ("--kubeconfig", str(installed.kubeconfig()), "--injector", "https://127.0.0.1:9")
    done = meshctl("install", *where, "--gateway-api")
    assert "httproutes.gateway.networking.k8s.io is there already, and stays as it is" in done.stdout
    assert installed.call("GET", path)["metadata"]["resourceVersion"] == before
