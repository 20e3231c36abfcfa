"""What an object names and nobody has: told when it is written, refused never."""

from __future__ import annotations

from typing import Any

from galley_api import Api

from artemon.model.workload import Workload, encode_workload


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


OUT = obj(
    "Gateway",
    "out",
    {
        "selector": {"app": "out"},
        "servers": [
            {
                "port": {"number": 8443, "name": "tls", "protocol": "TLS"},
                "hosts": ["*"],
                "tls": {"mode": "ISTIO_MUTUAL"},
            }
        ],
    },
)
EXTERNAL = obj(
    "ServiceEntry",
    "api",
    {
        "hosts": ["api.example.com"],
        "resolution": "DNS",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    },
    annotations={"artemon.io/egress-gateway": "shop/out"},
)


async def test_a_way_out_that_nobody_runs(api: Api) -> None:
    (warning,) = await written(api, OUT, EXTERNAL)
    assert "no proxy that Gateway shop/out selects has joined in shop; nobody gets out" in warning
    machine = Workload("out-1.shop", "shop", "out", "10.0.0.1", labels={"app": "out"})
    await api.store.put(api.parts.keys.layout.workload("shop", "out", "out-1.shop"), encode_workload(machine))
    joined = api.parts.around.feeds[api.parts.keys.layout.workloads]
    assert await joined.until(lambda: bool(list(joined.values())), 5)
    assert await written(api, EXTERNAL) == []


async def test_a_credential_that_nobody_has(api: Api) -> None:
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    tls = {"mode": "SIMPLE", "credentialName": "shop-tls"}
    edge = obj("Gateway", "edge", {"servers": [{"port": port, "hosts": ["a.com"], "tls": tls}]})
    secrets = api.parts.around.feeds[api.parts.keys.layout.secrets]
    assert await secrets.until(lambda: secrets.synced, 5)
    (warning,) = await written(api, edge)
    assert warning.startswith('spec.servers[0].tls.credentialName: no namespace has a Secret "shop-tls"')
    await api.store.put(api.parts.keys.layout.secret("shop", "shop-tls"), b"sealed")
    assert await secrets.until(lambda: bool(list(secrets.values())), 5)
    assert await written(api, edge) == []


DATABASE = obj(
    "ServiceEntry",
    "db",
    {
        "hosts": ["db.shop.svc.cluster.local"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 3306, "name": "tcp", "protocol": "TCP", "targetPort": 13306}],
        "workloadSelector": {"labels": {"app": "db"}},
    },
)


def policy(**spec: Any) -> dict[str, Any]:
    return {**obj("AuthorizationPolicy", "p", spec), "apiVersion": "security.istio.io/v1"}


READ = {"to": [{"operation": {"methods": ["GET"]}}]}


async def test_what_a_policy_cannot_see(api: Api) -> None:
    machine = Workload("db-1.shop", "shop", "", "10.0.0.1", labels={"app": "db"})
    key = api.parts.keys.layout.workload("shop", "", "db-1.shop")
    await api.store.put(key, encode_workload(machine))
    joined = api.parts.around.feeds[api.parts.keys.layout.workloads]
    assert await joined.until(lambda: bool(list(joined.values())), 5)
    await written(api, DATABASE)
    (warning,) = await written(api, policy(rules=[READ]))
    assert "the rule allows nothing on port 13306 of db.shop.svc.cluster.local" in warning
    assert await written(api, policy(selector={"matchLabels": {"app": "web"}}, rules=[READ])) == []


async def test_an_authorizer_that_nobody_knows(api: Api) -> None:
    asks = policy(action="CUSTOM", provider={"name": "opa"}, rules=[{}])
    (warning,) = await written(api, asks)
    assert warning.startswith('spec.provider.name: MeshConfig has no extensionProvider "opa"')
    grpc = {"name": "opa", "envoyExtAuthzGrpc": {"service": "opa.shop.svc.cluster.local", "port": 9000}}
    await api.ask("PUT", "/artemon/v1/mesh", {"extensionProviders": [grpc]}, code=200)
    feed = api.parts.around.feeds[api.parts.keys.layout.mesh]
    assert await feed.until(lambda: bool(list(feed.values())), 5)
    assert await written(api, asks) == []
