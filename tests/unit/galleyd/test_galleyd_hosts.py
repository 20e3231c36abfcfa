"""T20: a namespace routes and defines its own hosts; others' when they lend them, or for itself alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from galley_api import ACCESS, Api, become, bind, binding

from artemon.model.access import EDITOR, MESH_ADMIN
from artemon.model.workload import Workload, encode_workload

ADMIN = "admin of both"
NETWORKING = "networking.istio.io/v1"


def routes(*hosts: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    http = [{"route": [{"destination": {"host": "evil"}}]}]
    return obj("VirtualService", namespace, {"hosts": list(hosts), "http": http, **spec})


def entry(*hosts: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    whole = {"hosts": list(hosts), "ports": ports, "resolution": "DNS", **spec}
    return obj("ServiceEntry", namespace, whole)


def obj(kind: str, namespace: str, spec: dict[str, Any], name: str = "x") -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": NETWORKING, "kind": kind, "metadata": meta, "spec": spec}


async def apply(api: Api, *objects: dict[str, Any], code: int, headers: dict[str, str] | None = None) -> Any:
    body = {"objects": list(objects)}
    answer = await api.ask("POST", "/artemon/v1/transactions", body, code=code, headers=headers or {})
    if code == 200 and answer["revision"]:
        await api.seen(answer["revision"])
    return answer


@pytest.fixture
async def editor(api: Api) -> dict[str, str]:
    """Headers of an editor of namespace shop, in a mesh with a namespace bank."""
    await bind(api, binding(EDITOR))
    await apply(
        api,
        routes("pay", namespace="bank"),
        entry("api.partner.com", namespace="bank", addresses=["10.9.0.7"]),
        obj(
            "VirtualService",
            "bank",
            {
                "hosts": ["pay.example.com"],
                "gateways": ["istio-system/in"],
                "http": [{"route": [{"destination": {"host": "pay"}}]}],
            },
            "door",
        ),
        code=200,
    )
    return become(api)


FOREIGN = [
    "pay.bank.svc.cluster.local",
    "PAY.Bank.svc.cluster.local",
    "pay.bank.svc.cluster.local.",
    "pay.bank.svc",
    "pay.bank.svc.cluster",
    "pay.bank",
    "any.thing.bank.svc.cluster.local",
    "*.bank.svc.cluster.local",
    "*.bank.svc",
    "*.bank",
    "*ay.bank.svc.cluster.local",
    "*ank.svc.cluster.local",
    "*.svc.cluster.local",
    "*.cluster.local",
    "*.local",
    "*.com",
    "*",
    "api.partner.com",
    "API.partner.com.",
    "*.partner.com",
]


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("make", [routes, entry], ids=["routes", "entry"])
async def test_t20_hosts_of_others_are_refused(
    api: Api, editor: dict[str, str], make: Any, host: str
) -> None:
    before = await api.ask("GET", f"/apis/{NETWORKING}/virtualservices")
    one = make(host)
    answer = await api.send("POST", "/artemon/v1/transactions", {"objects": [one]}, headers=editor)
    told = await answer.json()
    assert answer.status in {403, 422}, told
    if answer.status == 403:
        assert told["reason"] == "Forbidden"
        assert told["details"]["causes"][0]["field"] == "spec.hosts[0]"
        assert 'exportTo: ["."]' in told["message"] or "alone can define it" in told["message"]
    for export in (["*"], [".", "bank"], ["bank"]):
        wide = {**one, "spec": {**one["spec"], "exportTo": export}}
        answer = await api.send("POST", "/artemon/v1/transactions", {"objects": [wide]}, headers=editor)
        assert answer.status in {403, 422}, export
    assert (await api.ask("GET", f"/apis/{NETWORKING}/virtualservices"))["items"] == before["items"]


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(routes("pay.bank.svc.cluster.local", exportTo=["."]), id="routes"),
        pytest.param(routes("*.bank.svc.cluster.local", exportTo=["."]), id="routes-to-all"),
        pytest.param(routes("api.partner.com", exportTo=["."]), id="routes-outside"),
        pytest.param(entry("api.partner.com", exportTo=["."]), id="entry-outside"),
    ],
)
async def test_ones_own_clients_may_be_routed_anywhere(
    api: Api, editor: dict[str, str], one: dict[str, Any]
) -> None:
    await apply(api, one, code=200, headers=editor)


async def test_t20_nobody_else_defines_a_host_of_the_mesh(api: Api, editor: dict[str, str]) -> None:
    one = entry("pay.bank.svc.cluster.local", exportTo=["."])
    told = await apply(api, one, code=403, headers=editor)
    assert "which alone can define it" in told["message"]


@pytest.mark.parametrize("host", ["pay.example.com", "PAY.example.com.", "*.example.com"])
async def test_t20_nobody_else_defines_a_host_that_is_offered_at_a_gateway(
    api: Api, editor: dict[str, str], host: str
) -> None:
    told = await apply(api, entry(host, resolution="NONE"), code=403, headers=editor)
    assert "VirtualService bank/door (pay.example.com)" in told["message"]
    await apply(api, entry(host, resolution="NONE", exportTo=["."]), code=200, headers=editor)


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([routes("reviews")], id="short-name"),
        pytest.param([routes("reviews.shop.svc.cluster.local")], id="full-name"),
        pytest.param([routes("reviews.shop")], id="half-name"),
        pytest.param([routes("*.shop.svc.cluster.local")], id="all-of-its-own"),
        pytest.param([entry("api.other.com"), routes("api.other.com")], id="with-its-entry"),
        pytest.param([entry("*.cdn.other.com", resolution="NONE")], id="outside"),
        pytest.param([entry("www.example.com")], id="beside-what-is-at-a-gateway"),
        pytest.param([routes("www.shop.com", gateways=["istio-system/in"])], id="at-a-gateway"),
        pytest.param([routes("*", gateways=["istio-system/in"])], id="all-at-a-gateway"),
    ],
)
async def test_ones_own_hosts_are_free(api: Api, editor: dict[str, str], objects: list[Any]) -> None:
    await apply(api, *objects, code=200, headers=editor)


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(routes("pay.example.com", gateways=["istio-system/in"]), id="same-host"),
        pytest.param(routes("PAY.example.com", gateways=["x", "istio-system/in"]), id="other-case"),
        pytest.param(routes("pay.bank.svc.cluster.local", gateways=["x"]), id="name-of-the-mesh"),
        pytest.param(routes("pay.bank.svc.cluster.local", gateways=["x", "mesh"], exportTo=["."]), id="both"),
    ],
)
async def test_t20_gateway_hosts_of_others_are_refused(
    api: Api, editor: dict[str, str], one: dict[str, Any]
) -> None:
    await apply(api, one, code=403, headers=editor)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"addresses": ["10.9.0.7"]}, id="address-of-another"),
        pytest.param({"addresses": ["10.0.0.0/8"]}, id="block-around-another"),
        pytest.param({"addresses": ["::ffff:10.9.0.7"]}, id="mapped"),
        pytest.param({"addresses": ["0.0.0.0/0"]}, id="everything"),
        pytest.param({"addresses": ["127.0.0.1"]}, id="loopback"),
        *(
            pytest.param({"resolution": "STATIC", "endpoints": [{"address": address}]}, id=f"to-{address}")
            for address in (
                "127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "::1", "::", "fe80::1",
                "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
                "::127.0.0.1", "fd00:ec2::254",
            )
        ),
        pytest.param({"endpoints": [{"address": "localhost"}]}, id="localhost"),
        pytest.param({"endpoints": [{"address": "a.LOCALHOST."}]}, id="below-localhost"),
        pytest.param({"resolution": "STATIC", "endpoints": [{"address": "unix:///run/a.sock"}]}, id="socket"),
    ],
)  # fmt: skip
async def test_t20_t15_addresses_that_are_not_ones_own_are_refused(
    api: Api, editor: dict[str, str], spec: dict[str, Any]
) -> None:
    answer = await api.send(
        "POST", "/artemon/v1/transactions", {"objects": [entry("a.other.com", **spec)]}, headers=editor
    )
    assert answer.status in {403, 422}, await answer.text()


async def test_t20_the_registry_is_no_endpoint(api: Api, editor: dict[str, str]) -> None:
    api.parts.guarded |= {"10.1.2.3", "etcd.internal"}
    for address in ("10.1.2.3", "ETCD.internal.", "::ffff:10.1.2.3"):
        one = entry("a.other.com", endpoints=[{"address": address}])
        await apply(api, one, code=403, headers=editor)
        alone = obj("WorkloadEntry", "shop", {"address": address})
        await apply(api, alone, code=403, headers=editor)


async def test_a_grant_lends_hosts_and_only_those(api: Api, editor: dict[str, str]) -> None:
    grant = {
        "apiVersion": "access.artemon.io/v1",
        "kind": "HostGrant",
        "metadata": {"name": "lend", "namespace": "bank"},
        "spec": {"hosts": ["pay", "api.partner.com"], "namespaces": ["shop"]},
    }
    made = await api.ask("POST", f"{ACCESS}/bank/hostgrants", grant, code=201)
    await api.seen(int(made["metadata"]["resourceVersion"]))
    for host in ("pay.bank.svc.cluster.local", "pay.bank", "api.partner.com"):
        await apply(api, routes(host), code=200, headers=editor)
    for host in ("other.bank.svc.cluster.local", "*.bank.svc.cluster.local", "*.partner.com"):
        await apply(api, routes(host), code=403, headers=editor)
    own = {**grant, "metadata": {"name": "steal", "namespace": "shop"}}
    await api.ask("POST", f"{ACCESS}/shop/hostgrants", own, code=403, headers=editor)


async def test_whoever_edits_both_namespaces_may_route_across(api: Api, editor: dict[str, str]) -> None:
    await apply(api, routes("pay.bank.svc.cluster.local"), code=403, headers=editor)
    await bind(api, binding(EDITOR, "bank"))
    await apply(api, routes("pay.bank.svc.cluster.local"), code=200, headers=editor)
    await apply(api, routes("*.cluster.local"), code=403, headers=editor)
    await bind(api, binding(MESH_ADMIN, "artemon-system"))
    await apply(api, routes("*.cluster.local"), code=200, headers=editor)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_t20_what_an_administrator_wrote_is_not_a_loophole(
    api: Api, editor: dict[str, str], method: str
) -> None:
    """An object across namespaces cannot be turned to one's own ends by who edits its namespace alone."""
    await apply(api, routes("pay.bank.svc.cluster.local"), code=200)
    path = f"/apis/{NETWORKING}/namespaces/shop/virtualservices/x"
    found = await api.ask("GET", path, headers=editor)
    found["spec"]["http"][0]["route"][0]["destination"]["host"] = "thief"
    media = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    await api.ask(method, path, found, code=403, headers={**editor, **media})


def gateway(*hosts: str, namespace: str = "shop", name: str = "own", **selector: str) -> dict[str, Any]:
    servers = [{"hosts": list(hosts), "port": {"number": 443, "name": "tls", "protocol": "TLS"},
                "tls": {"mode": "PASSTHROUGH"}}]  # fmt: skip
    return obj("Gateway", namespace, {"selector": selector or {"istio": "edge"}, "servers": servers}, name)


@pytest.fixture
async def edge(api: Api, editor: dict[str, str]) -> dict[str, str]:
    """The same with a shared gateway, which serves all of example.com, and a proxy that runs it."""
    await apply(api, gateway("*.example.com", namespace="istio-system", name="in"), code=200)
    machine = Workload("edge-1", "istio-system", "", "10.0.0.1", labels={"istio": "edge", "app": "ingress"})
    layout = api.parts.keys.layout
    await api.store.put(layout.workload("istio-system", "", "edge-1.istio-system"), encode_workload(machine))
    joined = api.parts.around.feeds[layout.workloads]
    assert await joined.until(lambda: bool(list(joined.values())), 5)
    return editor


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(gateway("pay.example.com"), id="host-that-is-routed"),
        pytest.param(gateway("PAY.Example.com"), id="other-case"),
        pytest.param(gateway("shop/pay.example.com"), id="with-a-namespace"),
        pytest.param(gateway("other.example.com"), id="below-what-is-served"),
        pytest.param(gateway("*.example.com"), id="the-same"),
        pytest.param(gateway("*.pay.example.com"), id="all-below"),
        pytest.param(gateway("pay.example.com", app="ingress"), id="by-another-label-of-the-proxy"),
        pytest.param(gateway("pay.example.com", istio="edge", app="ingress"), id="by-both"),
    ],
)
async def test_t20_a_gateway_takes_no_host_of_others(
    api: Api, edge: dict[str, str], one: dict[str, Any]
) -> None:
    told = await apply(api, one, code=403, headers=edge)
    assert "the same proxies" in told["message"]
    assert told["details"]["causes"][0]["field"] == "spec.servers[0].hosts[0]"
    await apply(api, one, code=200)


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(gateway("www.shop.com"), id="its-own-host"),
        pytest.param(gateway("*"), id="everything-that-is-left"),
        pytest.param(gateway("pay.example.com", istio="ours"), id="at-its-own-proxies"),
    ],
)
async def test_gateways_of_ones_own(api: Api, edge: dict[str, str], one: dict[str, Any]) -> None:
    await apply(api, one, code=200, headers=edge)


async def test_t20_routes_meet_at_proxies_and_not_by_the_name_of_a_gateway(
    api: Api, edge: dict[str, str]
) -> None:
    await apply(api, gateway("*", app="ingress"), code=200, headers=edge)
    told = await apply(api, routes("pay.example.com", gateways=["own"]), code=403, headers=edge)
    assert "is routed at the same gateway by VirtualService bank/door" in told["message"]
    await apply(api, routes("www.shop.com", gateways=["own"]), code=200, headers=edge)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(
            routes("www.shop.com", gateways=["istio-system/in"]),
            routes("new.example.com", gateways=["istio-system/in"]), id="routes",
        ),
        pytest.param(
            routes("new.example.com", gateways=["x"]),
            routes("new.example.com", gateways=["istio-system/in"]), id="routes-elsewhere",
        ),
        pytest.param(gateway("www.shop.com"), gateway("new.example.com"), id="gateway"),
        pytest.param(
            gateway("new.example.com", istio="ours"), gateway("new.example.com"), id="gateway-elsewhere"
        ),
        pytest.param(entry("www.shop.com"), entry("new.partner.com"), id="entry"),
        pytest.param(entry("new.partner.com", exportTo=["."]), entry("new.partner.com"), id="entry-abroad"),
        pytest.param(
            entry("a.shop.com"), entry("a.shop.com", addresses=["10.9.0.8"]), id="entry-address",
        ),
    ],
)  # fmt: skip
async def test_t20_an_old_object_makes_no_claim_older(
    api: Api, edge: dict[str, str], first: dict[str, Any], then: dict[str, Any]
) -> None:
    """Who waits with an object until somebody has a host, and then writes that host into it, is too late."""
    await apply(api, first, code=200, headers=edge)
    await asyncio.sleep(1.1)  # ages are told in seconds
    door = routes("new.example.com", namespace="bank", gateways=["istio-system/in"])
    taken = entry("new.partner.com", namespace="bank", addresses=["10.9.0.8"])
    taken["metadata"]["name"] = door["metadata"]["name"] = "new"
    await apply(api, door, taken, code=200)
    await apply(api, then, code=403, headers=edge)


async def test_who_was_first_keeps_what_he_has(api: Api, edge: dict[str, str]) -> None:
    await apply(api, routes("first.com", gateways=["istio-system/in"]), code=200, headers=edge)
    await asyncio.sleep(1.1)
    later = routes("first.com", namespace="bank", gateways=["istio-system/in"])
    later["metadata"]["name"] = "later"
    await apply(api, later, code=200)
    changed = routes("first.com", gateways=["istio-system/in"])
    changed["spec"]["http"][0]["timeout"] = "3s"
    await apply(api, changed, code=200, headers=edge)


async def test_labels_of_namespaces_are_not_told_by_whom_they_let_in(
    api: Api, editor: dict[str, str]
) -> None:
    """They are an annotation of routes that galleyd copies from clusters, and decide who may attach."""
    meta = {"name": "x", "namespace": "shop", "annotations": {"artemon.io/namespace-labels": "{}"}}
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta, "spec": {}}
    refused = await apply(api, route, code=403, headers=editor)
    assert "is written by galleyd alone" in refused["message"]
    del meta["annotations"]
    await apply(api, route, code=200, headers=editor)
