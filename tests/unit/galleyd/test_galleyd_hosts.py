"""T20: a namespace routes and defines its own hosts; others' when they lend them, or for itself alone."""

from __future__ import annotations

from typing import Any

import pytest
from galley_api import ACCESS, Api, become, bind, binding

from artemon.model.access import EDITOR, MESH_ADMIN

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


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([routes("reviews")], id="short-name"),
        pytest.param([routes("reviews.shop.svc.cluster.local")], id="full-name"),
        pytest.param([routes("reviews.shop")], id="half-name"),
        pytest.param([routes("*.shop.svc.cluster.local")], id="all-of-its-own"),
        pytest.param([entry("api.other.com"), routes("api.other.com")], id="with-its-entry"),
        pytest.param([entry("*.cdn.other.com", resolution="NONE")], id="outside"),
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
