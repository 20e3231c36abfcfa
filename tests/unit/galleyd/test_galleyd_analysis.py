"""`/artemon/v1/analysis`: the mesh as it is, as it would be, and no word about what a caller may not read."""

from __future__ import annotations

from typing import Any

from galley_api import Api, become, bind, binding, virtual_service

from artemon.model.access import VIEWER
from artemon.model.proxy import WorkloadPort
from artemon.model.service import Protocol
from artemon.model.workload import Workload, encode_workload
from galleyd.body import MAX_ITEMS

PATH = "/artemon/v1/analysis"
HOST = "spec.http[0].route[0].destination.host"


async def apply(api: Api, *objects: dict[str, Any]) -> None:
    answer = await api.ask("POST", "/artemon/v1/transactions", {"objects": list(objects)}, code=200)
    await api.seen(answer["revision"])


async def found(api: Api, query: str = "", **more: Any) -> list[tuple[str, str, str]]:
    answer = await api.ask("GET", PATH + query, code=200, **more)
    return [(one["code"], one["resource"], one["path"]) for one in answer["items"]]


async def test_the_mesh_as_it_is(api: Api) -> None:
    missing = ("IST0101", "VirtualService shop/reviews", HOST)
    await apply(api, virtual_service())
    assert await found(api) == [missing]
    assert await found(api, "?namespace=shop") == [missing]
    assert await found(api, "?namespace=bank") == []
    port = WorkloadPort(name="http", number=80, protocol=Protocol.HTTP, listen_port=80, app_port=80)
    machine = Workload("reviews-1", "shop", "reviews", "10.0.0.1", ports=(port,))
    await api.store.put(
        api.parts.keys.layout.workload("shop", "reviews", "reviews-1.shop"), encode_workload(machine)
    )
    joined = api.parts.around.feeds[api.parts.keys.layout.workloads]
    assert await joined.until(lambda: bool(list(joined.values())), 5)
    assert await found(api) == []


async def test_the_mesh_as_it_would_be(api: Api) -> None:
    await apply(api, virtual_service())
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "reviews", "namespace": "shop"},
        "spec": {"hosts": ["reviews.shop.svc.cluster.local"], "resolution": "STATIC",
                 "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]},
    }  # fmt: skip
    assert (await api.ask("POST", PATH, {"objects": [entry]}, code=200))["items"] == []
    assert len(await found(api)) == 1, "nothing was written"


async def test_nobody_hears_of_what_he_may_not_read(api: Api) -> None:
    await apply(api, virtual_service(), virtual_service(namespace="bank"))
    assert len(await found(api)) == 2
    await bind(api, binding(VIEWER))
    ann = become(api)
    assert await found(api, headers=ann) == [("IST0101", "VirtualService shop/reviews", HOST)]
    assert await found(api, "?namespace=bank", headers=ann) == []


async def test_what_is_asked_wrongly(api: Api) -> None:
    many = [{}] * (MAX_ITEMS + 1)
    for body in ({}, {"objects": {}}, {"objects": [1]}, {"objects": [], "more": 1}, {"objects": many}):
        await api.ask("POST", PATH, body, code=400)
    answer = await api.ask(
        "POST", PATH, {"objects": [{"kind": "Gateway", "metadata": "x", "spec": []}]}, code=200
    )
    assert isinstance(answer["items"], list)
