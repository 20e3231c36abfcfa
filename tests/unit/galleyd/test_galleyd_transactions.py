"""Several objects at once, waiting, history, MeshConfig."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from galley_api import SERVICES, Api, virtual_service

from galleyd.history import PLAIN, Step, decode, encode
from galleyd.writer import MAX_OBJECTS

TRANSACTIONS = "/artemon/v1/transactions"
RULE = {
    "apiVersion": "networking.istio.io/v1beta1",
    "kind": "DestinationRule",
    "metadata": {"name": "reviews", "namespace": "shop"},
    "spec": {"host": "reviews"},
}


def results(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["kind"], item["result"]) for item in answer["results"]]


async def test_objects_are_created_configured_unchanged_deleted(api: Api) -> None:
    done = await api.ask("POST", TRANSACTIONS, {"objects": [virtual_service(), RULE]}, code=200)
    assert results(done) == [("VirtualService", "created"), ("DestinationRule", "created")]
    again = await api.ask("POST", TRANSACTIONS, {"objects": [virtual_service(timeout="6s"), RULE]}, code=200)
    assert results(again) == [("VirtualService", "configured"), ("DestinationRule", "unchanged")]
    assert again["revision"] > done["revision"]
    last = await api.ask("POST", TRANSACTIONS, {"deletes": [RULE, virtual_service()]}, code=200)
    assert results(last) == [("DestinationRule", "deleted"), ("VirtualService", "deleted")]


async def test_one_bad_object_refuses_all(api: Api) -> None:
    bad = virtual_service("bad", timeout="never")
    refusal = await api.ask("POST", TRANSACTIONS, {"objects": [virtual_service(), bad, RULE]}, code=422)
    cause = refusal["details"]["causes"][0]
    assert (cause["object"], cause["field"]) == ("VirtualService/shop/bad", "spec.http[0].timeout")
    assert (await api.ask("GET", SERVICES))["items"] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param({"objects": [virtual_service(), virtual_service()]}, 422, id="twice"),
        pytest.param({"objects": [virtual_service()], "deletes": [virtual_service()]}, 422, id="both"),
        pytest.param({"deletes": [virtual_service("nope")]}, 404, id="absent"),
        pytest.param({"objects": [{"kind": "Nothing", "apiVersion": "v1"}]}, 422, id="kind"),
        pytest.param({"objects": [{**virtual_service(), "metadata": {"name": "../x"}}]}, 422, id="name"),
        pytest.param({"objects": [7, None, []]}, 422, id="no-objects"),
        pytest.param({"objects": "all"}, 400, id="text"),
        pytest.param({"things": []}, 400, id="unknown-part"),
    ],
)
async def test_refused_transactions_change_nothing(api: Api, body: dict[str, Any], code: int) -> None:
    refusal = await api.ask("POST", TRANSACTIONS, body, code=code)
    assert refusal["kind"] == "Status"
    assert (await api.ask("GET", SERVICES))["items"] == []


async def test_an_object_of_no_kind_does_not_hide_what_is_wrong_with_others(api: Api) -> None:
    wrong = {**virtual_service("a"), "spec": {"hostz": []}}
    refusal = await api.ask("POST", TRANSACTIONS, {"objects": [{"kind": "X"}, wrong]}, code=422)
    fields = [cause["field"] for cause in refusal["details"]["causes"]]
    assert {"apiVersion", "metadata", "spec.hostz"} <= set(fields)


async def test_as_many_as_fit_are_one_revision(api: Api) -> None:
    objects = [virtual_service(f"v{number}") for number in range(MAX_OBJECTS)]
    done = await api.ask("POST", TRANSACTIONS, {"objects": objects}, code=200)
    listed = await api.ask("GET", SERVICES)
    assert {item["metadata"]["resourceVersion"] for item in listed["items"]} == {str(done["revision"])}


async def test_more_than_fit_are_written_all_the_same(api: Api) -> None:
    objects = [virtual_service(f"v{number}") for number in range(500)]
    done = await api.ask("POST", TRANSACTIONS, {"objects": objects}, code=200)
    assert {result["result"] for result in done["results"]} == {"created"}
    listed = (await api.ask("GET", SERVICES))["items"]
    versions = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed}
    assert versions == {result["name"]: result["resourceVersion"] for result in done["results"]}
    one = listed[-1]
    one["spec"]["http"][0]["timeout"] = "7s"
    await api.ask("PUT", f"{SERVICES}/{one['metadata']['name']}", one, code=200)
    newest, *others = (await api.ask("GET", "/artemon/v1/history?limit=2", code=200))["items"]
    assert (len(newest["changes"]), len(others[0]["changes"])) == (1, 500)
    assert others[0]["revision"] == done["revision"]
    gone = await api.ask("POST", TRANSACTIONS, {"deletes": objects}, code=200)
    assert len(gone["results"]) == 500
    assert (await api.ask("GET", SERVICES))["items"] == []
    assert (await api.store.plain.list("artemon/default/config/")).entries == ()


async def test_a_dry_run_writes_nothing(api: Api) -> None:
    told = await api.ask("POST", f"{TRANSACTIONS}?dryRun=All", {"objects": [virtual_service()]}, code=200)
    assert (told["dryRun"], results(told)) == (True, [("VirtualService", "created")])
    assert (await api.ask("GET", SERVICES))["items"] == []


def proxy(*, revision: int, changed: int = 0, **nacked: str) -> bytes:
    state: dict[str, Any] = {"sent": "a", "acked": "a", **({"nacked": nacked} if nacked else {})}
    return json.dumps(
        {"node": "n", "revision": revision, "changed": changed, "types": {"lds": state}}
    ).encode()


async def test_waiting_ends_when_every_proxy_has_answered(api: Api) -> None:
    prefix = "artemon/default/status/proxies/"
    for name in ("a.shop", "b.shop"):
        await api.store.put(prefix + name, proxy(revision=1))
    done = await api.ask("POST", TRANSACTIONS, {"objects": [virtual_service()]}, code=200)
    revision = done["revision"]
    waiting = asyncio.ensure_future(api.ask("GET", f"/artemon/v1/wait?revision={revision}&timeout=10"))
    await api.store.put(prefix + "a.shop", proxy(revision=revision, changed=revision))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    refusal = {"message": "bad listener", "resource": "0.0.0.0_80"}
    await api.store.put(prefix + "b.shop", proxy(revision=1, changed=revision, **refusal))
    found = await waiting
    assert (found["done"], found["proxies"], found["acked"], found["pending"]) == (True, 2, 1, [])
    assert found["nacks"] == [{"proxy": "b.shop", "type": "lds", **refusal}]


async def test_waiting_names_those_that_do_not_answer(api: Api) -> None:
    await api.store.put("artemon/default/status/proxies/slow.shop", proxy(revision=1))
    await api.store.put("artemon/default/status/proxies/odd.shop", b"not json")
    feed = api.parts.proxies
    assert await feed.until(lambda: len(list(feed.values())) == 2, 5)
    found = await api.ask("GET", "/artemon/v1/wait?revision=900&timeout=0", code=200)
    assert (found["done"], found["pending"]) == (False, ["slow.shop"])
    listed = await api.ask("GET", "/artemon/v1/proxies", code=200)
    assert [item["proxy"] for item in listed["items"]] == ["slow.shop"]


async def test_history_tells_who_changed_what(api: Api) -> None:
    made = await api.ask("POST", SERVICES, virtual_service(), code=201)
    await api.ask("DELETE", f"{SERVICES}/reviews", code=200)
    newest, oldest = (await api.ask("GET", "/artemon/v1/history", code=200))["items"]
    assert (newest["who"], newest["changes"][0]["verb"]) == ("admin", "delete")
    assert oldest["revision"] == int(made["metadata"]["resourceVersion"])
    assert oldest["changes"][0]["before"] is None
    assert oldest["changes"][0]["after"]["spec"] == newest["changes"][0]["before"]["spec"] == made["spec"]


@pytest.mark.parametrize(
    ("size", "room", "whole"),
    [
        pytest.param(10, 2**18, True, id="plain"),
        pytest.param(PLAIN, 2**18, True, id="packed"),
        pytest.param(2000, 900, False, id="digests"),
    ],
)
def test_a_record_fits_its_room(size: int, room: int, whole: bool) -> None:
    text = hashlib.shake_256(b"any").hexdigest(size // 2) if not whole else "x" * size
    step = Step("update", "virtualservices", "shop", "a", {"spec": {"a": text}}, {"spec": {"b": text}})
    value = encode([step], who="admin", at="2026-01-01T00:00:00Z", room=room)
    assert len(value) <= room
    change = decode(value)["changes"][0]
    assert (change == step.json()) is whole
    assert change["name"] == "a"


async def test_mesh_config_is_validated_and_guarded(api: Api) -> None:
    path = "/artemon/v1/mesh"
    assert await api.ask("GET", path, code=200) == {}
    await api.ask("PUT", path, {"proxyHttpPort": 15080}, code=200)
    response = await api.send("GET", path)
    assert await response.json() == {"proxyHttpPort": 15080}
    stale = {"If-Match": '"1000"'}
    await api.ask("PUT", path, {"proxyHttpPort": 1}, code=409, headers=stale)
    await api.ask("PUT", path, {"proxyHttpPort": 2}, code=200, headers={"If-Match": response.headers["ETag"]})
    refusal = await api.ask("PUT", path, {"proxyHttpPrt": 2}, code=422)
    assert refusal["details"]["causes"][0]["field"] == "proxyHttpPrt"


async def test_what_is_accepted_but_not_translated_is_warned_of(api: Api) -> None:
    plugin = {
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "filter", "namespace": "shop"},
        "spec": {"url": "oci://registry.example/filter:v1"},
    }
    path = "/apis/extensions.istio.io/v1alpha1/namespaces/shop/wasmplugins"
    response = await api.send("POST", path, plugin)
    assert response.status == 201
    assert response.headers["Warning"].startswith('299 - "')
    assert "not translated" in response.headers["Warning"]
    done = await api.ask("POST", f"{TRANSACTIONS}?dryRun=All", {"objects": [plugin]}, code=200)
    assert "not translated" in done["results"][0]["warnings"][0]["message"]
