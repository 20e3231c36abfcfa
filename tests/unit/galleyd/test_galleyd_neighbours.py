"""A Gateway that wants what another has: told when it is written, refused never."""

from __future__ import annotations

from typing import Any

from galley_api import Api

GATEWAYS = "/apis/networking.istio.io/v1/namespaces/{}/gateways"


def gateway(name: str, space: str, *hosts: str, number: int = 443, **selector: str) -> dict[str, Any]:
    tls = {"mode": "SIMPLE", "serverCertificate": "/c.pem", "privateKey": "/k.pem"}
    port = {"number": number, "name": "https", "protocol": "HTTPS"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": space},
        "spec": {
            "selector": selector or {"istio": "edge"},
            "servers": [{"port": port, "hosts": list(hosts), "tls": tls}],
        },
    }


async def written(api: Api, *objects: dict[str, Any]) -> list[str]:
    """The warnings."""
    answer = await api.ask("POST", "/artemon/v1/transactions", {"objects": list(objects)}, code=200)
    await api.seen(answer["revision"])
    found = [warning for result in answer["results"] for warning in result["warnings"]]
    return [f"{one['path']}: {one['message']}" for one in found]


async def test_the_later_gateway_is_warned(api: Api) -> None:
    assert await written(api, gateway("old", "a", "x.com", "y.com")) == []
    (warning,) = await written(api, gateway("young", "b", "x.com", "z.com"))
    assert warning.startswith("spec.servers[0]: port 443 host x.com: Gateway a/old, which is older, has it")


async def test_the_older_one_is_told_from_whom_it_takes(api: Api) -> None:
    await written(api, gateway("a", "a", "x.com"))
    await written(api, gateway("b", "b", "y.com"))
    (warning,) = await written(api, gateway("a", "a", "x.com", "y.com"))
    assert warning == "spec.servers: takes port 443 host y.com from Gateway b/b, which is younger"


async def test_gateways_of_one_transaction_are_seen_together(api: Api) -> None:
    (first, second) = await written(api, gateway("a", "a", "x.com"), gateway("b", "a", "x.com"))
    assert ("younger" in first, "older" in second) == (True, True)


async def test_others_proxies_and_ports_do_not_matter(api: Api) -> None:
    await written(api, gateway("a", "a", "x.com"))
    assert await written(api, gateway("b", "a", "x.com", istio="inner")) == []
    assert await written(api, gateway("c", "a", "x.com", number=8443)) == []
    assert await written(api, gateway("d", "a", "x.com", istio="edge", zone="one")) != []


async def test_kubectl_gets_the_warning_as_a_header(api: Api) -> None:
    await written(api, gateway("a", "a", "x.com"))
    response = await api.send("POST", GATEWAYS.format("b"), gateway("b", "b", "x.com"))
    assert response.status == 201
    assert "Gateway a/a, which is older" in response.headers["Warning"]
