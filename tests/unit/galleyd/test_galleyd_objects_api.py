"""Objects over HTTP: create, read, replace, patch, delete, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from galley_api import NETWORKING, SERVICES, Api, virtual_service

MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


async def test_an_object_lives_from_post_to_delete(api: Api) -> None:
    made = await api.ask("POST", SERVICES, virtual_service(), code=201)
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["uid"]
    assert await api.ask("GET", f"{SERVICES}/reviews", code=200) == made

    made["spec"]["http"][0]["timeout"] = "7s"
    replaced = await api.ask("PUT", f"{SERVICES}/reviews", made, code=200)
    assert replaced["metadata"]["generation"] == 2
    assert replaced["metadata"]["uid"] == made["metadata"]["uid"]
    assert int(replaced["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])

    gone = await api.ask("DELETE", f"{SERVICES}/reviews", code=200)
    assert (gone["status"], gone["details"]["uid"]) == ("Success", made["metadata"]["uid"])
    missing = await api.ask("GET", f"{SERVICES}/reviews", code=404)
    assert missing["reason"] == "NotFound"
    assert missing["message"] == 'virtualservices.networking.istio.io "reviews" not found'
    assert missing["details"] == {
        "name": "reviews",
        "group": "networking.istio.io",
        "kind": "virtualservices",
    }


async def test_one_object_is_served_in_every_version(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    for version in ("v1", "v1beta1", "v1alpha3"):
        path = f"/apis/networking.istio.io/{version}/namespaces/shop/virtualservices/reviews"
        assert (await api.ask("GET", path, code=200))["apiVersion"] == f"networking.istio.io/{version}"


async def test_a_write_that_changes_nothing_keeps_the_revision(api: Api) -> None:
    made = await api.ask("POST", SERVICES, virtual_service(), code=201)
    again = await api.ask("PUT", f"{SERVICES}/reviews", made, code=200)
    patched = await api.ask("PATCH", f"{SERVICES}/reviews", {"spec": {}}, code=200, headers=MERGE)
    assert again == patched == made


async def test_labels_change_without_a_new_generation(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    labelled = await api.ask(
        "PATCH", f"{SERVICES}/reviews", {"metadata": {"labels": {"a": "b"}}}, code=200, headers=MERGE
    )
    assert labelled["metadata"]["labels"] == {"a": "b"}
    assert labelled["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "more", "code", "reason"),
    [
        pytest.param("POST", SERVICES, virtual_service(), {}, 409, "AlreadyExists", id="exists"),
        pytest.param(
            "PUT", f"{SERVICES}/reviews", virtual_service(), {}, 422, "Invalid", id="put-unversioned"
        ),
        pytest.param(
            "PUT",
            f"{SERVICES}/reviews",
            virtual_service(resourceVersion="999"),
            {},
            409,
            "Conflict",
            id="put-stale",
        ),
        pytest.param(
            "PUT",
            f"{SERVICES}/nope",
            virtual_service("nope", resourceVersion="999"),
            {},
            404,
            "NotFound",
            id="absent",
        ),
        pytest.param(
            "POST", SERVICES, virtual_service("a", namespace="b"), {}, 400, "BadRequest", id="namespace"
        ),
        pytest.param("PUT", f"{SERVICES}/reviews", virtual_service("x"), {}, 400, "BadRequest", id="name"),
        pytest.param("PUT", f"{SERVICES}/x", virtual_service("x"), {}, 404, "NotFound", id="put-nothing"),
        pytest.param(
            "POST", SERVICES, {**virtual_service("a"), "kind": "Gateway"}, {}, 422, "Invalid", id="kind"
        ),
        pytest.param(
            "POST",
            SERVICES,
            {**virtual_service("a"), "apiVersion": "networking.istio.io/v1beta1"},
            {},
            400,
            "BadRequest",
            id="version",
        ),
        pytest.param("POST", SERVICES, [1], {}, 400, "BadRequest", id="list"),
        pytest.param("POST", SERVICES, virtual_service("UPPER"), {}, 422, "Invalid", id="name-letters"),
        pytest.param(
            "POST", f"{NETWORKING}/virtualservices", {}, {}, 405, "MethodNotAllowed", id="no-namespace"
        ),
        pytest.param("GET", f"{NETWORKING}/nothings", None, {}, 404, "NotFound", id="unknown-kind"),
        pytest.param("GET", "/nowhere", None, {}, 404, "NotFound", id="unknown-path"),
        pytest.param("GET", f"{SERVICES}/a%2Fb", None, {}, 404, "NotFound", id="name-with-slash"),
        pytest.param(
            "PATCH", f"{SERVICES}/reviews", [], {"headers": MERGE}, 400, "BadRequest", id="list-as-merge"
        ),
        pytest.param(
            "PATCH",
            f"{SERVICES}/reviews",
            {},
            {"headers": {"Content-Type": "application/strategic-merge-patch+json"}},
            415,
            "UnsupportedMediaType",
            id="strategic",
        ),
        pytest.param(
            "PATCH",
            f"{SERVICES}/reviews",
            [{"op": "test", "path": "/spec/hosts/0", "value": "other"}],
            {"headers": JSON_PATCH},
            422,
            "Invalid",
            id="test-fails",
        ),
        pytest.param(
            "PATCH",
            f"{SERVICES}/reviews",
            {"metadata": {"resourceVersion": "999"}},
            {"headers": MERGE},
            409,
            "Conflict",
            id="patch-stale",
        ),
        pytest.param(
            "DELETE",
            f"{SERVICES}/reviews",
            {"preconditions": {"uid": "other"}},
            {},
            409,
            "Conflict",
            id="delete-other-uid",
        ),
        pytest.param(
            "POST", f"{SERVICES}?dryRun=Some", virtual_service("a"), {}, 400, "BadRequest", id="dry-run"
        ),
    ],
)
async def test_a_refusal_is_a_status_and_changes_nothing(
    api: Api, method: str, path: str, body: Any, more: dict[str, Any], code: int, reason: str
) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    before = await api.ask("GET", SERVICES)
    refusal = await api.ask(method, path, body, code=code, **more)
    assert (refusal["kind"], refusal["status"], refusal["reason"]) == ("Status", "Failure", reason)
    assert refusal["code"] == code
    assert await api.ask("GET", SERVICES) == before


async def test_every_reason_is_told_at_once(api: Api) -> None:
    wrong = virtual_service(timeout="soon", labels={"a": "no spaces please"})
    wrong["spec"]["http"][0]["route"][0]["weight"] = "many"
    refusal = await api.ask("POST", SERVICES, wrong, code=422)
    fields = [cause["field"] for cause in refusal["details"]["causes"]]
    assert set(fields) == {"metadata.labels.a", "spec.http[0].timeout", "spec.http[0].route[0].weight"}
    assert refusal["details"]["kind"] == "VirtualService"
    for field in fields:
        assert field in refusal["message"]


@pytest.mark.parametrize(
    ("validation", "code", "warned"), [("Strict", 400, False), ("Warn", 201, True), ("Ignore", 201, False)]
)
async def test_unknown_fields(api: Api, validation: str, code: int, warned: bool) -> None:
    wrong = virtual_service()
    wrong["spec"]["hostz"] = ["a"]
    response = await api.send("POST", f"{SERVICES}?fieldValidation={validation}", wrong)
    assert response.status == code
    answer = await response.json()
    assert ("spec.hostz" in response.headers.get("Warning", "")) is warned
    if code == 400:
        assert 'strict decoding error: unknown field "spec.hostz"' in answer["message"]
        assert answer["details"]["causes"][0]["field"] == "spec.hostz"
    else:
        assert "hostz" not in answer["spec"]


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        pytest.param(b"{", {}, 400, id="half"),
        pytest.param(b'{"a":1,"a":2}', {}, 400, id="key-twice"),
        pytest.param(b'{"a":NaN}', {}, 400, id="nan"),
        pytest.param(b'"\\ud800"', {}, 400, id="surrogate"),
        pytest.param(b"[" * 100_000, {}, 400, id="very-deep"),
        pytest.param(b'{"a":' * 70 + b"1" + b"}" * 70, {}, 400, id="deep"),
        pytest.param(b"[" + b"1," * 20_000 + b"1]", {}, 400, id="long"),
        pytest.param(b"\xff\xfe", {}, 400, id="not-utf8"),
        pytest.param(b" " * 4_000_000, {}, 413, id="too-large"),
        pytest.param(b"a: &x 1\nb: *x\n", {"Content-Type": "application/yaml"}, 400, id="yaml-alias"),
        pytest.param(b"a: 1\na: 2\n", {"Content-Type": "application/yaml"}, 400, id="yaml-key-twice"),
        pytest.param(b"<a/>", {"Content-Type": "application/xml"}, 415, id="xml"),
    ],
)
async def test_malformed_bodies(api: Api, content: bytes, headers: dict[str, str], code: int) -> None:
    sent = {"Content-Type": "application/json", **api.headers, **headers}
    response = await api.client.post(SERVICES, data=content, headers=sent)
    assert response.status == code
    assert (await response.json())["kind"] == "Status"
    await api.ask("GET", SERVICES, code=200)


async def test_an_object_over_its_limit_is_refused(api: Api) -> None:
    big = virtual_service(annotations={f"a{n}": "x" * 20_000 for n in range(12)})
    big["spec"]["hosts"] = [f"host-{n}.example.com" for n in range(3000)]
    refusal = await api.ask("POST", SERVICES, big)
    assert refusal["code"] in {413, 422}
    await api.ask("GET", f"{SERVICES}/reviews", code=404)


async def test_yaml_is_read(api: Api) -> None:
    text = json.dumps(virtual_service())
    sent = {"Content-Type": "application/yaml", **api.headers}
    response = await api.client.post(SERVICES, data=text, headers=sent)
    assert response.status == 201


async def test_without_content_type_a_body_is_json(api: Api) -> None:
    response = await api.client.post(
        SERVICES, data=json.dumps(virtual_service()), headers=api.headers, skip_auto_headers=["Content-Type"]
    )
    assert response.status == 201


async def test_dry_run_says_what_would_be(api: Api) -> None:
    would = await api.ask("POST", f"{SERVICES}?dryRun=All", virtual_service(), code=201)
    assert would["metadata"]["name"] == "reviews"
    await api.ask("GET", f"{SERVICES}/reviews", code=404)


async def test_generated_names_differ(api: Api) -> None:
    nameless = virtual_service()
    nameless["metadata"] = {"generateName": "reviews-"}
    names = {(await api.ask("POST", SERVICES, nameless, code=201))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("reviews-") and len(name) == 13 for name in names)


async def test_status_and_spec_have_their_own_paths(api: Api) -> None:
    made = await api.ask("POST", SERVICES, {**virtual_service(), "status": {"x": 1}}, code=201)
    assert "status" not in made
    wanted = {**made, "status": {"observedGeneration": 1}, "spec": {"hosts": ["other"]}}
    changed = await api.ask("PUT", f"{SERVICES}/reviews/status", wanted, code=200)
    assert changed["status"] == {"observedGeneration": 1}
    assert changed["spec"] == made["spec"]
    patched = await api.ask(
        "PATCH", f"{SERVICES}/reviews", {"status": None, "spec": {"hosts": ["b"]}}, code=200, headers=MERGE
    )
    assert patched["status"] == {"observedGeneration": 1}
    assert patched["spec"]["hosts"] == ["b"]


async def test_a_corrupt_value_hurts_only_itself(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    await api.store.put("artemon/default/config/virtualservices/shop/broken", b"{not json")
    listed = await api.ask("GET", SERVICES, code=200)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["reviews"]
    await api.ask("DELETE", f"{SERVICES}/broken", code=200)
    await api.ask("GET", f"{SERVICES}/broken", code=404)


async def test_a_collection_is_deleted_by_label(api: Api) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "front")):
        await api.ask("POST", SERVICES, virtual_service(name, labels={"tier": tier}), code=201)
    gone = await api.ask("DELETE", f"{SERVICES}?labelSelector=tier=front", code=200)
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a", "c"]
    left = await api.ask("GET", SERVICES, code=200)
    assert [item["metadata"]["name"] for item in left["items"]] == ["b"]
