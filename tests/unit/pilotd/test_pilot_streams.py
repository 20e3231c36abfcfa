"""A proxy connects: it gets its configuration, its records appear, and what it may not do is refused."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from pilot_clients import Mesh, identity, mesh, node, service_entry, until

from artemon.xds.resource import content_version
from artemon.xds.types import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES
from pilotd import connection

REVIEWS = "outbound|9080||reviews.books.svc.cluster.local"
SHOP = "outbound|80||shop.example.com"
STATUS = "status/proxies/reviews-1.books"
LUA = {
    "name": "script",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"},
}


async def ended(running: Mesh) -> connection.Ended:
    await until(lambda: bool(running.ended))
    return running.ended[0]


async def test_a_joined_workload_becomes_an_endpoint_of_its_service() -> None:
    async with mesh() as running:
        client = running.connect(node())
        await client.until(CLUSTER, REVIEWS)
        client.ask(ENDPOINTS, REVIEWS)
        await client.until(ENDPOINTS, REVIEWS)
        assert b"127.0.1.1" in client.held[ENDPOINTS][REVIEWS]
        record = await running.value("workloads/books/reviews/reviews-1")
    assert record is not None
    assert (record["address"], record["serviceAccount"]) == ("127.0.1.1", "reviews")


async def test_status_says_which_revision_a_proxy_has_taken() -> None:
    async with mesh() as running:
        client = running.connect(node())
        client.ask(LISTENER)
        await client.until(LISTENER, "127.0.1.1_9080")
        revision = await running.write(
            "config/serviceentries/books/shop", service_entry("shop", "shop.example.com")
        )
        await client.until(CLUSTER, SHOP)
        status = await running.eventually(STATUS, lambda found: found and found["revision"] >= revision)
    assert status is not None
    assert status["changed"] >= revision  # the workload of the client itself may come after it
    assert status["types"]["cds"]["sent"] == status["types"]["cds"]["acked"]


async def test_a_refused_resource_is_named_and_the_rest_arrives() -> None:
    async with mesh() as running:
        client = running.connect(node())
        client.ask(LISTENER)
        client.refuse = SHOP
        await client.until(LISTENER, "127.0.1.1_9080")
        await running.write("config/serviceentries/books/shop", service_entry("shop", "shop.example.com"))
        good = await running.write(
            "config/serviceentries/books/news", service_entry("news", "news.example.com")
        )
        await client.until(CLUSTER, "outbound|80||news.example.com")
        status = await running.eventually(STATUS, lambda found: found and found["revision"] >= good)
        assert status is not None
        assert status["types"]["cds"]["nacked"]["resource"] == SHOP
        assert status["types"]["cds"]["nacked"]["message"] == f"cannot use {SHOP}"
        shops = [one for one in client.taken if any(item.name == SHOP for item in one.resources)]
        assert len(shops) == 1, "what was refused is not sent again"
        mended = service_entry("shop", "shop.example.com", resolution="NONE", endpoints=[])
        client.refuse = None
        await running.write("config/serviceentries/books/shop", mended)
        await client.until(CLUSTER, SHOP)
        await running.eventually(STATUS, lambda found: "nacked" not in found["types"]["cds"])


async def test_a_corrupt_value_hurts_only_itself() -> None:
    async with mesh() as running:
        await running.write("config/serviceentries/books/shop", service_entry("shop", "shop.example.com"))
        client = running.connect(node())
        await client.until(CLUSTER, SHOP)
        await running.write("config/serviceentries/books/shop", b"\xff{not json")
        await running.write("config/serviceentries/books/bad", b"[]")
        await running.write("config/serviceentries/books/news", service_entry("news", "news.example.com"))
        await client.until(CLUSTER, "outbound|80||news.example.com")
        assert SHOP in client.held[CLUSTER]
        status, page = running.discovery.pages.page("/debug/problems")
    assert status == 200
    assert b"config/serviceentries/books/bad" in page


@pytest.mark.parametrize(
    ("peer", "metadata", "status"),
    [
        pytest.param(identity(account="ratings"), {}, "PERMISSION_DENIED", id="another-account"),
        pytest.param(identity(namespace="other"), {}, "PERMISSION_DENIED", id="another-namespace"),
        pytest.param(identity(), {"SERVICE_ACCOUNT": ""}, "PERMISSION_DENIED", id="empty-account"),
        pytest.param(identity(), {"NAMESPACE": None}, "PERMISSION_DENIED", id="no-namespace"),
        pytest.param(
            identity(), {"ARTEMON_SERVICE": "../x"}, "INVALID_ARGUMENT", id="service-leaves-its-prefix"
        ),
        pytest.param(identity(), {"ARTEMON_PORTS": "[{"}, "INVALID_ARGUMENT", id="ports-are-no-json"),
        pytest.param(identity(), {"LABELS": "x" * 70_000}, "RESOURCE_EXHAUSTED", id="much-metadata"),
    ],
)
async def test_a_wrong_node_is_refused(peer, metadata: dict, status: str) -> None:
    async with mesh() as running:
        running.connect(node(**metadata), peer=peer)
        assert (await ended(running)).status == status
        assert await running.value("workloads/books/reviews/reviews-1") is None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"\xff\xff", "INVALID_ARGUMENT", id="no-protobuf"),
        pytest.param(b"", "INVALID_ARGUMENT", id="empty"),
        pytest.param(
            node("reviews-2").SerializeToString(), "PERMISSION_DENIED", id="identity-changes-mid-stream"
        ),
        pytest.param(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=ENDPOINTS, resource_names_subscribe=[str(n) for n in range(10_001)]
            ).SerializeToString(),
            "RESOURCE_EXHAUSTED",
            id="many-names",
        ),
    ],
)
async def test_a_bad_request_ends_its_stream_alone(data: bytes, status: str) -> None:
    async with mesh() as running:
        good, bad = running.connect(node("reviews-3")), running.connect(node())
        await bad.until(CLUSTER, REVIEWS)
        bad.pipe.requests.put_nowait(data)
        assert (await ended(running)).status == status
        await running.write("config/serviceentries/books/shop", service_entry("shop", "shop.example.com"))
        await good.until(CLUSTER, SHOP)


async def test_one_node_has_four_streams_at_most() -> None:
    async with mesh() as running:
        for _ in range(5):
            running.connect(node())
        assert (await ended(running)).status == "RESOURCE_EXHAUSTED"
        assert len(running.discovery.fleet.clients) == 4


async def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.1)
    async with mesh() as running:
        client = running.connect(node())
        client.pipe.stuck = True
        assert (await ended(running)).status == "DEADLINE_EXCEEDED"


async def test_nothing_is_served_before_the_registry_was_read() -> None:
    async with mesh(wait=False) as running:
        running.connect(node())
        assert (await ended(running)).status == "UNAVAILABLE"


async def test_a_changed_endpoint_is_all_that_is_sent() -> None:
    async with mesh() as running:
        client = running.connect(node(HTTP_PROXY_PORT="15080"))
        client.ask(LISTENER)
        client.ask(ROUTES, "http_proxy")
        await client.until(
            CLUSTER, "outbound|9080||reviews.books.svc.cluster.local"
        )  # its own record is there
        entry = service_entry("shop", "shop.example.com", endpoints=[{"address": "10.0.0.1"}])
        first = await running.write("config/serviceentries/books/shop", entry)
        await client.until(CLUSTER, SHOP)
        client.ask(ENDPOINTS, SHOP)
        await client.until(ENDPOINTS, SHOP, b"10.0.0.1")
        await running.eventually(STATUS, lambda found: found and found["revision"] >= first)
        await client.until(CLUSTER, "inbound|9080||")  # its own record has come too
        await client.until(LISTENER, "127.0.1.1_9080")
        await client.until(ROUTES, "http_proxy", b"reviews")
        before = len(client.taken)
        entry["spec"]["endpoints"] = [{"address": "10.0.0.2"}]
        await running.write("config/serviceentries/books/shop", entry)
        await client.until(ENDPOINTS, SHOP, b"10.0.0.2")
    sent = [(one.type_url, [item.name for item in one.resources]) for one in client.taken[before:]]
    assert sent == [(ENDPOINTS, [SHOP])]


async def test_a_proxy_that_comes_back_in_step_is_sent_nothing_and_is_in_step() -> None:
    async with mesh() as running:
        client = running.connect(node(ARTEMON_SERVICE=""))
        client.ask(LISTENER)
        await client.until(LISTENER, "127.0.1.1_9080")
        await running.eventually(STATUS, lambda found: found and "lds" in found["types"])
        client.pipe.requests.put_nowait(None)
        await running.eventually(STATUS, lambda found: found is None)
        first, second = node(ARTEMON_SERVICE=""), discovery_pb2.DeltaDiscoveryRequest(type_url=LISTENER)
        for request in (first, second):
            for name, body in client.held[request.type_url].items():
                request.initial_resource_versions[name] = content_version(body)
        again = running.connect(first)
        again.send(second)
        status = await running.eventually(STATUS, lambda found: found and "lds" in found["types"])
    assert status is not None
    assert again.taken == []
    assert all(one["sent"] == one["acked"] != "" for one in status["types"].values())


def rejects_what_reviews_has(status: dict[str, Any] | None) -> bool:
    """What a patch does to other resources may be known before."""
    return any(REVIEWS in one["resource"] for one in (status or {}).get("rejected", ()))


async def test_a_patch_that_breaks_something_is_named_in_the_status() -> None:
    bad = {"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": {"name": "x"}}}
    good = {"applyTo": "EXTENSION_CONFIG", "patch": {"operation": "ADD", "value": LUA}}
    spec = {"configPatches": [bad, good]}
    meta = {"name": "f", "namespace": "books"}
    value = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": meta,
        "spec": spec,
    }
    async with mesh() as running:
        client = running.connect(node())
        client.ask(LISTENER)
        await client.until(LISTENER, "127.0.1.1_9080")
        client.ask(EXTENSION, "script")
        await running.write("config/envoyfilters/books/f", value)
        await client.until(EXTENSION, "script")
        status = await running.eventually(STATUS, rejects_what_reviews_has)
        await running.write("config/envoyfilters/books/f", {**value, "spec": {"configPatches": [good]}})
        await running.eventually(STATUS, lambda found: found and not found.get("rejected"))
    assert status is not None
    assert {(one["object"], one["patch"]) for one in status["rejected"]} == {("EnvoyFilter/books/f", 0)}
    assert all("must stay" in one["reason"] for one in status["rejected"])
