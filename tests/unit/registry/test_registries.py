"""Several registries beside each other: each fails alone, and of one host the precedence decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from artemon.errors import StoreError
from artemon.log import Log
from artemon.model.service import Endpoint, Health, Port, Protocol, Service
from artemon.registry.aggregate import Registries
from artemon.registry.api import Registry, RegistrySettings, Sink
from artemon.registry.open import Opened
from artemon.registry.view import View
from artemon.snapshot.build import build
from artemon.snapshot.changes import Change, Delete, ServiceKey, Upsert
from artemon.snapshot.holds import Rules
from artemon.snapshot.services import Source
from artemon.snapshot.world import World
from artemon.store import clock

HOST = "web.service.consul"


def source(name: str, *addresses: str, precedence: int = 0, health: Health = Health.HEALTHY) -> Source:
    settings = RegistrySettings(name=name, precedence=precedence)
    port = Port(80, f"http-{name}", Protocol.HTTP)
    service = Service(HOST, "default", (port,), created=settings.created)
    return Source(
        id=f"registry/{name}/default/web",
        namespace="default",
        services=(service,),
        rank=settings.rank,
        inline=tuple(Endpoint(one, "default", ports={port.name: 8080}, health=health) for one in addresses),
        claims=False,
    )


class Listed:
    """A registry that says one thing."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    async def run(self, sink: Sink) -> None:
        sink.replace(self._sources, proven=True)
        await asyncio.Event().wait()


class Broken:
    """A registry with a defect, or one that refuses."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def run(self, sink: Sink) -> None:
        raise self._error


def opened(name: str, registry: Registry, *, required: bool = True) -> Opened:
    return Opened(name, f"{name}://", RegistrySettings(name=name, required=required), registry)


@asynccontextmanager
async def running(*registries: Opened) -> AsyncIterator[tuple[Registries, World]]:
    world = World()

    def take(changes: list[Change]) -> None:
        world.apply(changes)

    made = Registries(
        registries, take, log=Log("test"), registry=CollectorRegistry(), now=clock.now, data_dir=None
    )
    task = asyncio.ensure_future(made.run())
    try:
        yield made, world
    finally:
        task.cancel()
        await asyncio.wait([task])


def addresses(world: World) -> list[str]:
    found = build(world).instances.get(ServiceKey(HOST, "default"), ())
    return [one.address for one in found]


async def test_one_that_fails_touches_no_other() -> None:
    broken = Broken(RuntimeError("a defect"))
    refused = Broken(StoreError("no such file"))
    rows = (
        opened("good", Listed(source("good", "10.0.0.1"))),
        opened("broken", broken),
        opened("refused", refused, required=False),
    )
    async with running(*rows) as (registries, world), asyncio.timeout(10):
        while len([one for one in registries.status() if one["reason"] == ""]) != 1 or any(
            "not been read" in one["reason"] for one in registries.status()
        ):
            await asyncio.sleep(0.01)
        assert addresses(world) == ["10.0.0.1"]
        found = {one["name"]: (one["state"], one["reason"]) for one in registries.status()}
        assert found["good"] == ("ok", "")
        assert "a defect" in found["broken"][1]
        assert found["refused"] == ("unread", "no such file")
        assert registries.waiting == ("broken",), "what is not required is not waited for"


def test_equal_precedence_adds_up_and_a_smaller_one_decides() -> None:
    world = World()
    world.apply([Upsert(one.id, one) for one in (source("a", "10.0.0.1"), source("b", "10.0.0.2"))])
    assert addresses(world) == ["10.0.0.1", "10.0.0.2"]
    first = source("first", "10.0.0.3", precedence=0)
    later = source("later", "10.0.0.4", precedence=1)
    world = World()
    world.apply([Upsert(one.id, one) for one in (later, first)])
    assert addresses(world) == ["10.0.0.3"]
    world.apply([Delete(first.id)])
    assert addresses(world) == ["10.0.0.4"]


def test_a_change_of_health_touches_endpoints_alone_and_a_new_port_does_not() -> None:
    world = World()
    world.apply([Upsert("k", source("a", "10.0.0.1", "10.0.0.2"))])
    assert world.apply([Upsert("k", source("a", "10.0.0.1", health=Health.UNHEALTHY))]).endpoints_only
    assert not world.apply([Upsert("k", source("b", "10.0.0.1"))]).endpoints_only


def test_what_vanishes_in_numbers_is_held_and_what_was_out_already_is_not() -> None:
    view = View(Rules(hold=300))
    view.replace([source("a", "10.0.0.1", "10.0.0.2", "10.0.0.3")], proven=True, now=0)
    changes = view.update([source("a", "10.0.0.1")], (), proven=False, now=1)
    assert changes == []
    assert len(view.held) == 2
    assert view.due == 301
    view.update([source("a", "10.0.0.1", "10.0.0.2")], (), proven=False, now=2)
    assert view.held == ("registry/a/default/web/10.0.0.3:8080",)
    (change,) = view.release(now=301)
    assert isinstance(change, Upsert)
    sick = source("a", "10.0.0.1", "10.0.0.2", health=Health.UNHEALTHY)
    view.update([sick], (), proven=False, now=302)
    assert view.update((), [sick.id], proven=False, now=303) == [Delete(sick.id)]


def test_whatever_is_missing_on_a_doubt_is_held_and_one_lease_that_ends_is_not() -> None:
    view = View(Rules(hold=300))
    view.replace([source("a", "10.0.0.1"), source("b", "10.0.0.2")], proven=True, now=0)
    assert view.update((), ["registry/a/default/web"], proven=False, doubted=True, now=1) == []
    assert view.held == ("registry/a/default/web/10.0.0.1:8080",)
    assert view.update((), ["registry/b/default/web"], proven=False, now=2) == [
        Delete("registry/b/default/web")
    ]


def test_what_was_taken_out_for_sure_goes_unless_it_is_most_of_everything() -> None:
    view = View()
    view.replace([source("a", "10.0.0.1"), source("b", "10.0.0.2")], proven=True, now=0)
    assert view.update((), ["registry/a/default/web"], proven=True, now=1) == [
        Delete("registry/a/default/web")
    ]
    many = source("c", *(f"10.0.1.{n}" for n in range(9)))
    view.update([many], (), proven=True, now=2)
    assert view.update((), [many.id], proven=True, now=3) == []
    assert len(view.held) == 9
