"""Lists, selections, tables, watches, discovery."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from galley_api import NETWORKING, SERVICES, Api, virtual_service

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def names(answer: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


@asynccontextmanager
async def watching(api: Api, query: str, **headers: str) -> AsyncIterator[Any]:
    """Reads events one by one: `event = await read()`."""
    path = f"{SERVICES}?watch=1&{query}"
    async with api.client.get(path, headers={**api.headers, **headers}) as response:
        assert response.status == 200

        async def read() -> Any:
            async with asyncio.timeout(5):
                line = await response.content.readline()
            return json.loads(line) if line else None

        yield read


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("", ["a", "b", "c"], id="all"),
        pytest.param("labelSelector=tier=front", ["a", "c"], id="equal"),
        pytest.param("labelSelector=tier%3D%3Dback", ["b"], id="double-equal"),
        pytest.param("labelSelector=tier!=front", ["b"], id="unequal"),
        pytest.param("labelSelector=tier in (front,back),new", ["c"], id="in-and-exists"),
        pytest.param("labelSelector=tier notin (front)", ["b"], id="notin"),
        pytest.param("labelSelector=!new", ["a", "b"], id="absent"),
        pytest.param("fieldSelector=metadata.name=b", ["b"], id="field-name"),
        pytest.param("fieldSelector=metadata.namespace!=shop", [], id="field-namespace"),
        pytest.param("resourceVersion=0", ["a", "b", "c"], id="any-revision"),
    ],
)
async def test_lists_select(api: Api, query: str, found: list[str]) -> None:
    for name, labels in (
        ("a", {"tier": "front"}),
        ("b", {"tier": "back"}),
        ("c", {"tier": "front", "new": ""}),
    ):
        await api.ask("POST", SERVICES, virtual_service(name, labels=labels), code=201)
    listed = await api.ask("GET", f"{SERVICES}?{query}", code=200)
    assert names(listed) == found
    assert (listed["kind"], listed["apiVersion"]) == ("VirtualServiceList", "networking.istio.io/v1")


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("labelSelector=a b", 400, "BadRequest"),
        ("fieldSelector=spec.hosts=a", 400, "BadRequest"),
        ("limit=-1", 400, "BadRequest"),
        ("continue=nonsense", 400, "BadRequest"),
        ("resourceVersion=soon", 400, "BadRequest"),
        ("resourceVersion=1000000", 504, "Timeout"),
    ],
)
async def test_wrong_questions(api: Api, query: str, code: int, reason: str) -> None:
    refusal = await api.ask("GET", f"{SERVICES}?{query}", code=code)
    assert refusal["reason"] == reason


async def test_pages_show_one_revision(api: Api) -> None:
    for name in "abcde":
        await api.ask("POST", SERVICES, virtual_service(name), code=201)
    first = await api.ask("GET", f"{SERVICES}?limit=2", code=200)
    await api.ask("DELETE", f"{SERVICES}/d", code=200)
    token = first["metadata"]["continue"]
    second = await api.ask("GET", f"{SERVICES}?limit=2&continue={token}", code=200)
    token = second["metadata"]["continue"]
    third = await api.ask("GET", f"{SERVICES}?limit=2&continue={token}", code=200)
    assert names(first) + names(second) + names(third) == list("abcde")
    assert len({page["metadata"]["resourceVersion"] for page in (first, second, third)}) == 1
    assert "continue" not in third["metadata"]
    assert (await api.ask("GET", f"{SERVICES}?limit=2&continue={token}", code=410))["reason"] == "Expired"


async def test_tables_are_for_people(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    table = await api.ask("GET", SERVICES, code=200, headers={"Accept": TABLE})
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Gateways", "Hosts", "Age"]
    row = table["rows"][0]
    assert row["cells"][:3] == ["reviews", None, '["reviews"]']
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["namespace"] == "shop"
    whole = await api.ask("GET", f"{SERVICES}?includeObject=Object", headers={"Accept": TABLE})
    assert whole["rows"][0]["object"]["spec"]["hosts"] == ["reviews"]


async def test_metadata_alone(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    found = await api.ask("GET", SERVICES, code=200, headers={"Accept": PARTIAL})
    assert found["kind"] == "PartialObjectMetadataList"
    assert "spec" not in found["items"][0]


async def test_a_watch_tells_what_changes(api: Api) -> None:
    start = (await api.ask("GET", SERVICES))["metadata"]["resourceVersion"]
    async with watching(api, f"resourceVersion={start}") as read:
        made = await api.ask("POST", SERVICES, virtual_service(), code=201)
        assert await read() == {"type": "ADDED", "object": made}
        made["spec"]["hosts"] = ["other"]
        changed = await api.ask("PUT", f"{SERVICES}/reviews", made, code=200)
        assert await read() == {"type": "MODIFIED", "object": changed}
        await api.ask("DELETE", f"{SERVICES}/reviews", code=200)
        gone = await read()
        assert gone["type"] == "DELETED"
        assert gone["object"]["spec"] == changed["spec"]
        assert int(gone["object"]["metadata"]["resourceVersion"]) > int(
            changed["metadata"]["resourceVersion"]
        )


@pytest.mark.parametrize("value", ["True", "1", "yes", ""])
async def test_every_way_to_say_watch(api: Api, value: str) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    response = await api.send("GET", f"{SERVICES}?watch={value}&timeoutSeconds=1")
    assert [json.loads(line)["type"] for line in (await response.text()).splitlines()] == ["ADDED"]


async def test_a_watch_whose_time_is_up_ends_with_a_bookmark(api: Api) -> None:
    made = await api.ask("POST", SERVICES, virtual_service(), code=201)
    response = await api.send("GET", f"{SERVICES}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1")
    added, mark = map(json.loads, (await response.text()).splitlines())
    assert (added["type"], mark["type"]) == ("ADDED", "BOOKMARK")
    assert int(mark["object"]["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


async def test_initial_events_end_with_a_bookmark(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with watching(api, query) as read:
        assert (await read())["type"] == "ADDED"
        mark = await read()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        await api.ask("DELETE", f"{SERVICES}/reviews", code=200)
        assert (await read())["type"] == "DELETED"


async def test_a_selection_is_left_and_entered(api: Api) -> None:
    merge = {"Content-Type": "application/merge-patch+json"}
    await api.ask("POST", SERVICES, virtual_service(labels={"a": "b"}), code=201)
    async with watching(api, "labelSelector=a=b") as read:
        assert (await read())["type"] == "ADDED"
        for value, told in (("c", "DELETED"), ("b", "ADDED")):
            await api.ask(
                "PATCH", f"{SERVICES}/reviews", {"metadata": {"labels": {"a": value}}}, headers=merge
            )
            assert (await read())["type"] == told


async def test_a_watch_from_a_forgotten_revision_ends_with_410(api: Api) -> None:
    for number in range(3):
        await api.ask("POST", SERVICES, virtual_service(f"a{number}"), code=201)
    await api.seen(3)
    api.parts.config.floor = 2
    async with watching(api, "resourceVersion=1") as read:
        event = await read()
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
            "ERROR",
            410,
            "Expired",
        )
        assert await read() is None


async def test_a_watch_from_a_revision_that_never_was_is_refused(api: Api) -> None:
    await api.ask("GET", f"{SERVICES}?watch=1&resourceVersion=5000", code=410)


async def test_only_the_first_event_of_a_table_has_columns(api: Api) -> None:
    for name in "ab":
        await api.ask("POST", SERVICES, virtual_service(name), code=201)
    async with watching(api, "", Accept=TABLE) as read:
        assert len((await read())["object"]["columnDefinitions"]) == 4
        assert (await read())["object"]["columnDefinitions"] == []


async def test_discovery_in_both_forms(api: Api) -> None:
    groups = await api.ask("GET", "/apis", code=200)
    assert "networking.istio.io" in [group["name"] for group in groups["groups"]]
    old = await api.ask("GET", "/apis/networking.istio.io/v1beta1", code=200)
    entry = next(item for item in old["resources"] if item["name"] == "virtualservices")
    assert (entry["shortNames"], entry["namespaced"]) == (["vs"], True)
    assert "istio-io" in entry["categories"]
    response = await api.send("GET", "/apis", headers={"Accept": f"{AGGREGATED},application/json"})
    assert response.headers["Content-Type"] == AGGREGATED
    groups = (await response.json(content_type=None))["items"]
    networking = next(group for group in groups if group["metadata"]["name"] == "networking.istio.io")
    assert [version["version"] for version in networking["versions"]] == ["v1", "v1beta1", "v1alpha3"]
    await api.ask("GET", "/apis/nothing.example", code=404)


async def test_openapi_has_what_kubectl_needs(api: Api) -> None:
    index = await api.ask("GET", "/openapi/v3", code=200)
    url = index["paths"]["apis/networking.istio.io/v1"]["serverRelativeURL"]
    response = await api.send("GET", url)
    document = await response.json()
    patch = document["paths"][f"{NETWORKING}/namespaces/{{namespace}}/virtualservices/{{name}}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "VirtualService"
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    schema = document["components"]["schemas"]["io.istio.networking.v1.VirtualService"]
    assert schema["properties"]["spec"]["properties"]["hosts"]["type"] == "array"
    again = await api.send("GET", url, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status == 304


async def test_namespaces_are_those_in_use_and_those_made(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    await api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "made"}}, code=201)
    await api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "made"}}, code=409)
    assert names(await api.ask("GET", "/api/v1/namespaces", code=200)) == ["default", "made", "shop"]
    assert (await api.ask("GET", "/api/v1/namespaces/shop", code=200))["status"] == {"phase": "Active"}
    await api.ask("DELETE", "/api/v1/namespaces/shop", code=409)
    await api.ask("DELETE", "/api/v1/namespaces/made", code=200)
    await api.ask("GET", "/api/v1/namespaces/made", code=404)


async def test_there_are_no_events(api: Api) -> None:
    assert (await api.ask("GET", "/api/v1/namespaces/shop/events", code=200))["items"] == []
