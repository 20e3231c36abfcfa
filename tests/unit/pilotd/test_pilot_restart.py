"""Workloads outlive what happens to the control plane, and go when they have gone."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pilot_clients import identity, mesh, node, service_entry, until

from artemon.snapshot.holds import Rules
from artemon.store import follow
from artemon.store.open import open_store
from artemon.xds.types import CLUSTER, ENDPOINTS, HEALTH, LEAVING
from pilotd import ingest, records, returning
from pilotd.discovery import Options

pytestmark = pytest.mark.slow

REVIEWS = "outbound|9080||reviews.books.svc.cluster.local"
RECORD = "workloads/books/reviews/reviews-1"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(records, "DRAIN_SECONDS", 0.1)


async def test_a_workload_goes_a_while_after_its_stream_also_the_only_one(quick: None) -> None:
    async with mesh() as running:
        client = running.connect(node())
        other = running.connect(node("reviews-2", ip="127.0.1.2"))
        other.ask(ENDPOINTS, REVIEWS)
        await other.until(ENDPOINTS, REVIEWS, b"127.0.1.1")
        client.pipe.requests.put_nowait(None)
        await running.eventually(RECORD, lambda found: found is None)
        await until(lambda: b"127.0.1.1" not in other.held[ENDPOINTS][REVIEWS])


async def test_most_of_a_service_that_falls_silent_at_once_is_held(quick: None) -> None:
    async with mesh() as running:
        clients = [running.connect(node(f"reviews-{n}", ip=f"127.0.1.{n}")) for n in (1, 2, 3, 4)]
        looker = clients[3]
        looker.ask(ENDPOINTS, REVIEWS)
        for number in (1, 2, 3):
            await looker.until(ENDPOINTS, REVIEWS, f"127.0.1.{number}".encode())
        for client in clients[:3]:
            client.pipe.requests.put_nowait(None)
        await until(lambda: len(running.discovery.ingest.status()["held"]) == 3)
        held = looker.held[ENDPOINTS][REVIEWS]
        assert all(f"127.0.1.{number}".encode() in held for number in (1, 2, 3))
        assert running.discovery.ingest.release() == 3
        await until(lambda: b"127.0.1.1" not in looker.held[ENDPOINTS][REVIEWS])


async def test_a_workload_that_says_goodbye_goes_at_once() -> None:
    async with mesh() as running:
        client = running.connect(node())
        await running.eventually(RECORD, bool)
        client.ask(LEAVING)
        await running.eventually(RECORD, lambda found: found["health"] == "DRAINING")
        client.pipe.requests.put_nowait(None)
        await running.eventually(RECORD, lambda found: found is None)
        running.connect(node())
        await running.eventually(RECORD, lambda found: found and found["health"] == "HEALTHY")


async def test_a_workload_gets_requests_when_its_proxy_takes_them() -> None:
    async with mesh() as running:
        client = running.connect(node(ARTEMON_HEALTH="UNHEALTHY"))
        await running.eventually(RECORD, lambda found: found and found["health"] == "UNHEALTHY")
        client.ask(HEALTH, "HEALTHY")
        await running.eventually(RECORD, lambda found: found["health"] == "HEALTHY")
        client.ask(LEAVING)
        await running.eventually(RECORD, lambda found: found["health"] == "DRAINING")


async def test_a_proxy_that_comes_back_keeps_its_record(quick: None) -> None:
    async with mesh() as running:
        client = running.connect(node())
        before = await running.eventually(RECORD, bool)
        client.pipe.requests.put_nowait(None)
        await until(lambda: not running.discovery.fleet.clients)
        running.connect(node())
        await asyncio.sleep(0.6)
        assert await running.value(RECORD) == before


async def test_a_record_that_somebody_deletes_is_back_while_its_proxy_is_connected() -> None:
    async with mesh() as running:
        running.connect(node())
        before = await running.eventually(RECORD, bool)
        for _ in range(3):
            await running.store.delete(f"artemon/default/{RECORD}")
            assert await running.eventually(RECORD, bool) == before


async def test_another_replica_takes_the_record_over(quick: None) -> None:
    async with mesh() as first, mesh(first.store, options=Options(pilot="pilot-b")) as second:
        client = first.connect(node())
        await first.eventually(RECORD, bool)
        second.connect(node())
        client.pipe.requests.put_nowait(None)
        await asyncio.sleep(0.7)
        found = await first.value(RECORD)
        assert found is not None
        assert found["health"] == "HEALTHY"


async def test_endpoints_survive_a_restart_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leases ran out while no pilotd lived; the proxy of the other instance is still on its way back."""
    monkeypatch.setattr(follow, "SAVE_EVERY", 0.1)
    saved = tmp_path / "workloads.snapshot"
    file = f"sqlite://{tmp_path}/mesh.db"
    rules = Rules(restart=1.0)
    options = Options(pilot="pilot-a", data_dir=tmp_path, guard=rules)
    store = await open_store(file)
    async with mesh(store, options=options) as running:
        for name, ip in (("reviews-1", "127.0.1.1"), ("reviews-2", "127.0.1.2")):
            running.connect(node(name, ip=ip))
        client = running.connect(node("reviews-3", ip="127.0.1.3"))
        client.ask(ENDPOINTS, REVIEWS)
        for ip in (b"127.0.1.1", b"127.0.1.2", b"127.0.1.3"):
            await client.until(ENDPOINTS, REVIEWS, ip)
        await until(lambda: b"reviews-3" in saved.read_bytes() if saved.exists() else False)
    for number in (1, 2, 3):
        await store.delete(f"artemon/default/workloads/books/reviews/reviews-{number}")
    await store.close()

    store = await open_store(file)
    async with mesh(store, options=replace(options, pilot="pilot-b")) as running:
        client = running.connect(node("reviews-1", ip="127.0.1.1"))
        client.ask(ENDPOINTS, REVIEWS)
        await client.until(ENDPOINTS, REVIEWS, b"127.0.1.1")
        for response in client.taken:
            for item in response.resources:
                if item.name == REVIEWS and response.type_url == ENDPOINTS:
                    assert b"127.0.1.2" in item.resource.value
        await until(lambda: b"127.0.1.2" not in client.held[ENDPOINTS][REVIEWS])
        assert b"127.0.1.1" in client.held[ENDPOINTS][REVIEWS], "the one that came back stays"
    await store.close()


async def test_what_died_with_the_only_pilotd_leaves_when_the_others_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the lease of its record is over. Most of the mesh does not: it is held."""
    monkeypatch.setattr(returning, "RETURN_SECONDS", 0.5)
    monkeypatch.setattr(records, "GRACE_SECONDS", 60.0)
    store = await open_store(f"sqlite://{tmp_path}/mesh.db")
    options = Options(pilot="pilot-a", lease_ttl=600)
    every = [(f"reviews-{number}", f"127.0.1.{number}") for number in range(1, 6)]

    async def back(*numbers: int, gone: int, held: int) -> None:
        """The pilotd starts; `numbers` of five come back, and the others go or are held."""
        async with mesh(store, options=options) as running:
            client = running.connect(node("client", ip="127.0.1.9", ARTEMON_SERVICE=""))
            client.ask(ENDPOINTS, REVIEWS)
            for number in numbers:
                running.connect(node(*every[number - 1]))
            await until(lambda: running.discovery.ingest.settled)
            known = client.held[ENDPOINTS]
            await until(lambda: sum(ip.encode() in known[REVIEWS] for _, ip in every) == 5 - gone)
            assert len(running.discovery.ingest.status()["held"]) == held

    await back(1, 2, 3, 4, 5, gone=0, held=0)
    await back(1, 2, 3, 4, gone=1, held=0)
    await back(1, gone=1, held=3)
    await store.close()


async def test_a_wiped_registry_removes_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning, "RETURN_SECONDS", 0.0)
    async with mesh() as running, mesh(running.store, options=Options(pilot="pilot-b")) as looker:
        await until(lambda: looker.discovery.ingest.settled)
        for number in (1, 2, 3):
            running.connect(node(f"reviews-{number}", ip=f"127.0.1.{number}"))
        client = looker.connect(node("client", ip="127.0.1.9", ARTEMON_SERVICE=""), peer=identity())
        client.ask(ENDPOINTS, REVIEWS)
        for number in (1, 2, 3):
            await client.until(ENDPOINTS, REVIEWS, f"127.0.1.{number}".encode())
        for number in (1, 2, 3):
            await running.store.delete(f"artemon/default/workloads/books/reviews/reviews-{number}")
        await asyncio.sleep(0.5)
        held = client.held[ENDPOINTS][REVIEWS]
        assert sum(f"127.0.1.{number}".encode() in held for number in (1, 2, 3)) >= 2
        assert REVIEWS in client.held[CLUSTER]


async def test_pilotd_starts_from_what_was_saved_when_the_registry_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is answered before; then it says that it is stale."""
    monkeypatch.setattr(follow, "SAVE_EVERY", 0.1)
    monkeypatch.setattr(ingest, "COLD_SECONDS", 0.5)
    options = Options(pilot="pilot-a", data_dir=tmp_path)
    async with mesh(options=options) as running:
        await running.write("config/serviceentries/books/web", service_entry("web", "web.example"))
        client = running.connect(node())
        await client.until(CLUSTER, "outbound|80||web.example")
        views = [tmp_path / f"{view}.snapshot" for view in ingest.VIEWS]
        await until(lambda: all(view.exists() for view in views) and b"web.example" in _decoded(views[0]))
    store = await open_store("etcd://127.0.0.1:1")
    async with mesh(store, options=options, wait=False) as running:
        assert not running.discovery.fleet.ready
        await until(lambda: running.discovery.fleet.ready)
        client = running.connect(node())
        await client.until(CLUSTER, "outbound|80||web.example")
        assert running.health.ready
        assert "saved" in str(running.health.report()["degraded"])
        assert running.discovery.ingest.status()["state"] == "stale"
    await store.close()


async def test_pilotd_serves_nobody_without_registry_and_without_anything_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "COLD_SECONDS", 0.2)
    store = await open_store("etcd://127.0.0.1:1")
    async with mesh(store, options=Options(pilot="pilot-a", data_dir=tmp_path), wait=False) as running:
        await asyncio.sleep(0.6)
        running.connect(node())
        await until(lambda: running.ended)
        assert running.ended[0].status == "UNAVAILABLE"
        assert not running.health.ready
    await store.close()


def _decoded(file: Path) -> bytes:
    """A saved view with its values in clear."""
    lines = file.read_bytes().split(b"\n")[2:]
    return b"".join(base64.b64decode(json.loads(line)[1]) for line in lines)
