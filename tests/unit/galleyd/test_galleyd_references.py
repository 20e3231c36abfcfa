"""What an object names and nobody has: told when it is written, refused never."""

from __future__ import annotations

from typing import Any

from galley_api import Api


def obj(kind: str, name: str, spec: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", **meta},
        "spec": spec,
    }


def routes(subset: str) -> dict[str, Any]:
    http = [{"route": [{"destination": {"host": "web", "subset": subset}}]}]
    return obj("VirtualService", "web", {"hosts": ["web"], "http": http})


RULE = obj(
    "DestinationRule", "web", {"host": "web", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}
)


async def written(api: Api, *objects: dict[str, Any]) -> list[str]:
    """The warnings."""
    answer = await api.ask("POST", "/artemon/v1/transactions", {"objects": list(objects)}, code=200)
    await api.seen(answer["revision"])
    found = [warning for result in answer["results"] for warning in result["warnings"]]
    return [f"{one['path']}: {one['message']}" for one in found]


async def test_a_subset_that_nobody_has(api: Api) -> None:
    (warning,) = await written(api, routes("v1"))
    assert "(known: none)" in warning
    await written(api, RULE)
    assert await written(api, routes("v1")) == []
    (warning,) = await written(api, routes("v9"))
    assert warning.startswith('spec.http[0].route[0].destination.subset: "v9" is not a subset of web.shop')


async def test_objects_of_one_transaction_know_one_another(api: Api) -> None:
    assert await written(api, routes("v1"), RULE) == []


async def test_a_way_out_that_is_not_there(api: Api) -> None:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    way = {"artemon.io/egress-gateway": "shop/out"}
    spec = {"hosts": ["api.example.com"], "resolution": "DNS", "ports": ports}
    (warning,) = await written(api, obj("ServiceEntry", "api", spec, annotations=way))
    assert warning.endswith("there is no Gateway shop/out; nobody gets out")
