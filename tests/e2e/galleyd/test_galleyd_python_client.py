"""The `kubernetes` Python client, unchanged, against galleyd."""

from __future__ import annotations

import threading
from typing import Any

import kubernetes
import pytest
from kubernetes.client.exceptions import ApiException
from served import Galleyd

WHERE = ("networking.istio.io", "v1", "shop", "virtualservices")


def virtual_service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {"hosts": [name], "http": [{"route": [{"destination": {"host": name}}]}]},
    }


@pytest.fixture(params=["token", "certificate"])
def objects(galleyd: Galleyd, request: pytest.FixtureRequest) -> kubernetes.client.CustomObjectsApi:
    configuration = kubernetes.client.Configuration(host=galleyd.url)
    configuration.ssl_ca_cert = str(galleyd.ca)
    if request.param == "token":
        configuration.api_key = {"authorization": f"Bearer {galleyd.token}"}
    else:
        configuration.cert_file, configuration.key_file = str(galleyd.client_cert), str(galleyd.client_key)
    return kubernetes.client.CustomObjectsApi(kubernetes.client.ApiClient(configuration))


def test_an_object_lives_from_create_to_delete(objects: kubernetes.client.CustomObjectsApi) -> None:
    made = objects.create_namespaced_custom_object(*WHERE, virtual_service("a"))
    made["spec"]["hosts"] = ["b"]
    replaced = objects.replace_namespaced_custom_object(*WHERE, "a", made)
    assert replaced["metadata"]["generation"] == 2
    patched = objects.patch_namespaced_custom_object(*WHERE, "a", {"metadata": {"labels": {"x": "y"}}})
    assert patched["metadata"]["labels"] == {"x": "y"}
    listed = objects.list_namespaced_custom_object(*WHERE, label_selector="x=y")
    assert [item["spec"]["hosts"] for item in listed["items"]] == [["b"]]
    objects.delete_namespaced_custom_object(*WHERE, "a")
    with pytest.raises(ApiException) as missing:
        objects.get_namespaced_custom_object(*WHERE, "a")
    assert missing.value.status == 404


def test_a_refusal_is_an_exception_with_its_reasons(objects: kubernetes.client.CustomObjectsApi) -> None:
    wrong = virtual_service("wrong")
    wrong["spec"]["http"][0]["route"][0]["weight"] = -1
    with pytest.raises(ApiException) as refusal:
        objects.create_namespaced_custom_object(*WHERE, wrong)
    assert refusal.value.status == 422
    assert "spec.http[0].route[0].weight" in refusal.value.body


def test_a_watch_tells_what_another_writes(objects: kubernetes.client.CustomObjectsApi) -> None:
    start = objects.list_namespaced_custom_object(*WHERE)["metadata"]["resourceVersion"]

    def write() -> None:
        objects.create_namespaced_custom_object(*WHERE, virtual_service("watched"))
        objects.delete_namespaced_custom_object(*WHERE, "watched")

    writer = threading.Thread(target=write)
    writer.start()
    watch = kubernetes.watch.Watch()
    stream = watch.stream(
        objects.list_namespaced_custom_object, *WHERE, resource_version=start, timeout_seconds=10
    )
    told = []
    for event in stream:
        told.append((event["type"], event["object"]["metadata"]["name"]))
        if event["type"] == "DELETED":
            watch.stop()
    writer.join()
    assert told == [("ADDED", "watched"), ("DELETED", "watched")]


def test_the_dynamic_client_finds_the_kinds(objects: kubernetes.client.CustomObjectsApi) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(objects.api_client)
    rules = dynamic.resources.get(api_version="networking.istio.io/v1beta1", kind="DestinationRule")
    made = rules.create(
        body={
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "DestinationRule",
            "metadata": {"name": "d", "namespace": "shop"},
            "spec": {"host": "d"},
        }
    )
    assert rules.get(name="d", namespace="shop").metadata.uid == made.metadata.uid
    rules.delete(name="d", namespace="shop")
