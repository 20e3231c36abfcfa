"""Reviews and the webhook configuration, without a server."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest

from artemon.inject import Injection, Injector
from artemon.inject.policy import selected
from artemon.inject.webhook import webhook_configuration
from artemon.inject.words import SYSTEM_NAMESPACES
from artemon.kube.admission import Malformed, read
from artemon.kube.bundle import corrections
from injectord.review import Verdict, answer

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "a-"},
    "spec": {"containers": [{"name": "a"}]},
}


def review(**request: Any) -> bytes:
    whole = {"uid": "u1", "operation": "CREATE", "namespace": "shop", "object": POD, **request}
    found = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": whole}
    return json.dumps(found).encode()


def inject(obj: Any, namespace: str) -> Injection:
    return Injector().inject(obj, namespace=namespace)


def verdict(**request: Any) -> Verdict:
    return answer(read(review(**request)), inject)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "must be an AdmissionReview, not a list"),
        (
            b'{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}',
            "not 'AdmissionReview' of",
        ),
        (b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}', "request: must be a mapping"),
        (review(uid=1), "request.uid: must be text"),
        (review(object=None), "request.object: must be a mapping, not null"),
        (review(namespace=["x"]), "request.namespace: must be text"),
    ],
)
def test_what_is_no_review(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as malformed:
        read(body)
    assert reason in str(malformed.value)


def test_a_pod_gets_a_patch() -> None:
    response = verdict().body["response"]
    assert (response["uid"], response["allowed"], response["patchType"]) == ("u1", True, "JSONPatch")
    patch = json.loads(base64.b64decode(response["patch"]))
    assert {one["path"] for one in patch} >= {
        "/spec/initContainers",
        "/spec/volumes",
        "/metadata/annotations",
    }


def test_a_wrong_annotation_is_refused_with_its_reason() -> None:
    wrong = {**POD, "metadata": {"name": "a", "annotations": {"status.sidecar.istio.io/port": "x"}}}
    found = verdict(object=wrong)
    assert found.outcome == "failure"
    assert found.body["response"]["allowed"] is False
    assert "status.sidecar.istio.io/port" in found.body["response"]["status"]["message"]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"operation": "DELETE", "object": None}, id="delete"),
        pytest.param({"namespace": "kube-system"}, id="system"),
        pytest.param({"object": {**POD, "spec": {**POD["spec"], "hostNetwork": True}}}, id="host-network"),
    ],
)
def test_others_are_let_through_unchanged(request_: dict[str, Any]) -> None:
    found = verdict(**request_)
    assert (found.outcome, found.body["response"]) == ("skip", {"uid": "u1", "allowed": True})


def holds(requirement: dict[str, Any], labels: dict[str, str]) -> bool:
    value = labels.get(requirement["key"])
    return {
        "In": value in requirement.get("values", ()),
        "NotIn": value not in requirement.get("values", ()),
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[requirement["operator"]]


def matching(configuration: dict[str, Any], namespace: dict[str, str], pod: dict[str, str]) -> list[str]:
    """The webhooks that the API server would ask."""
    return [
        hook["name"]
        for hook in configuration["webhooks"]
        if all(holds(one, namespace) for one in hook["namespaceSelector"]["matchExpressions"])
        and all(holds(one, pod) for one in hook["objectSelector"]["matchExpressions"])
    ]


INJECTION, WISH = (None, "enabled", "disabled"), (None, "true", "false")
REVISION = (None, "r1", "prod", "r2")
LABELS = list(itertools.product(INJECTION, REVISION, WISH, REVISION))


@pytest.mark.parametrize("default", [True, False])
def test_selectors_ask_exactly_once_for_exactly_the_selected_pods(default: bool) -> None:
    made = webhook_configuration("x", {"url": "https://h"}, revision="r1", tags=["prod"], default=default)
    for injection, of_namespace, wish, of_pod in LABELS:
        namespace = given({"istio-injection": injection, "istio.io/rev": of_namespace})
        pod = given({"sidecar.istio.io/inject": wish, "istio.io/rev": of_pod})
        expected = selected(namespace, pod, revisions=["r1", "prod"], default=default)
        found = matching(made, {**namespace, "kubernetes.io/metadata.name": "shop"}, pod)
        assert len(found) == int(expected), (namespace, pod, found)


def given(labels: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if value is not None}


def test_namespaces_of_the_system_are_never_matched() -> None:
    made = webhook_configuration("x", {"url": "https://h"})
    for name in SYSTEM_NAMESPACES:
        labels = {"kubernetes.io/metadata.name": name, "istio-injection": "enabled"}
        assert matching(made, labels, {"sidecar.istio.io/inject": "true"}) == []


def test_only_wrong_bundles_are_corrected() -> None:
    made = webhook_configuration("x", {"url": "https://h", "caBundle": base64.b64encode(b"new").decode()})
    made["webhooks"][1]["clientConfig"]["caBundle"] = "b2xk"
    assert corrections(made, b"new") == [
        {"op": "test", "path": "/webhooks/1/name", "value": made["webhooks"][1]["name"]},
        {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "bmV3"},
    ]
