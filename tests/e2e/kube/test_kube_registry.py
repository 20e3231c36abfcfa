"""A real cluster's Services as a registry: all types, instances by slices, outages, lost history, rights."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kube_server import KubeApi

from artemon.kube import Client, Gone
from artemon.kube.kinds import SERVICE
from artemon.kube.kubeconfig import cluster_access
from artemon.model.service import Resolution
from artemon.registry.open import open_registry
from artemon.snapshot.services import Source

pytestmark = [pytest.mark.kube, pytest.mark.timeout(300)]
NS = "/api/v1/namespaces/shop"
STORED = "/registry/services/specs/shop"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"


class Told:
    """What a registry said (implements Sink)."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.troubles: list[str] = []
        self.proofs = self.lists = 0

    def replace(self, sources: Iterable[Source], *, proven: bool) -> None:
        self.sources = {one.id: one for one in sources}
        self.lists += 1

    def update(self, sources: Iterable[Source], gone: Iterable[str] = (), *, proven: bool) -> None:
        self.sources |= {one.id: one for one in sources}
        for identity in gone:
            del self.sources[identity]

    def alive(self) -> None:
        self.proofs += 1

    def trouble(self, reason: str) -> None:
        self.troubles.append(reason)

    def service(self, name: str) -> Source | None:
        return self.sources.get(f"registry/east/Service/shop/{name}")

    def addresses(self, name: str) -> list[str]:
        found = self.service(name)
        return sorted(one.address for one in found.inline) if found else []


@asynccontextmanager
async def reading(kube: KubeApi, query: str = "", *, token: str = "") -> AsyncIterator[Told]:
    told = Told()
    opened = open_registry(f"kubernetes://{kube.kubeconfig(token)}?name=east&proof=0.5{query}")
    task = asyncio.create_task(opened.registry.run(told))
    try:
        yield told
    finally:
        assert not task.done(), (told.troubles, task.exception())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(ready: Callable[[], object]) -> None:
    async with asyncio.timeout(90):
        while not ready():
            await asyncio.sleep(0.05)


def add(kube: KubeApi, path: str, name: str, **fields: Any) -> dict[str, Any]:
    labels = fields.pop("labels", {})
    return kube.create(path, {"metadata": {"name": name, "labels": labels}, **fields})


def service(kube: KubeApi, name: str, **spec: Any) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    add(kube, f"{NS}/services", name, spec={"ports": ports, **spec})


def endpoint_slice(kube: KubeApi, owner: str, *addresses: str) -> dict[str, Any]:
    label = {"kubernetes.io/service-name": owner}
    ports = [{"name": "http", "port": 8080}]
    endpoints = [{"addresses": [address]} for address in addresses]
    return add(kube, SLICES, f"{owner}-1", labels=label, addressType="IPv4", ports=ports, endpoints=endpoints)


@pytest.fixture(scope="module")
def shop(kube: KubeApi) -> KubeApi:
    kube.create("/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {"mesh": "on"}}})
    kube.service_account("shop")
    service(kube, "web")
    endpoint_slice(kube, "web", "10.0.0.1", "10.0.0.2")
    service(kube, "headless", clusterIP="None")
    service(kube, "node", type="NodePort")
    service(kube, "balanced", type="LoadBalancer")
    add(kube, f"{NS}/services", "outside", spec={"type": "ExternalName", "externalName": "example.test"})
    return kube


async def test_services_of_all_types(shop: KubeApi) -> None:
    async with reading(shop) as told:
        await until(lambda: told.lists)
        found = {name: told.service(name) for name in ("web", "headless", "node", "balanced", "outside")}
        kinds = {name: one.services[0].resolution for name, one in found.items() if one}
        static, none = Resolution.STATIC, Resolution.NONE
        assert kinds == {
            "web": static,
            "headless": none,
            "node": static,
            "balanced": static,
            "outside": Resolution.DNS,
        }
        assert told.addresses("web") == ["10.0.0.1", "10.0.0.2"]
        assert found["web"] is not None
        assert found["web"].services[0].host == "web.shop.svc.cluster.local"
        assert found["web"].services[0].addresses[0].startswith("10.96.")


async def test_changes_arrive_and_an_outage_takes_nothing_away(shop: KubeApi) -> None:
    async with reading(shop) as told:
        await until(lambda: told.lists)
        service(shop, "later")
        made = endpoint_slice(shop, "later", "10.0.1.1")
        await until(lambda: told.addresses("later") == ["10.0.1.1"])
        await asyncio.to_thread(shop.kill)
        await until(lambda: told.troubles)
        assert told.addresses("later") == ["10.0.1.1"]
        shop.run()  # here: a server ends with the thread that started it
        made["endpoints"] = [{"addresses": ["10.0.1.2"]}]
        made["metadata"].pop("resourceVersion")
        await asyncio.to_thread(shop.call, "PUT", f"{SLICES}/later-1", made)
        await until(lambda: told.addresses("later") == ["10.0.1.2"])
        before = told.proofs
        await until(lambda: told.proofs > before)
        await asyncio.to_thread(shop.call, "DELETE", f"{NS}/services/later")
        await until(lambda: told.service("later") is None)
        assert told.addresses("web") == ["10.0.0.1", "10.0.0.2"]


async def test_only_chosen_namespaces(shop: KubeApi) -> None:
    async with reading(shop, "&namespaces=mesh%3Don") as told:
        await until(lambda: told.lists)
        assert {one.namespace for one in told.sources.values()} == {"shop"}
    async with reading(shop) as told:
        await until(lambda: told.lists)
        assert {one.namespace for one in told.sources.values()} == {"shop", "default"}


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def stored(number: int) -> dict[str, Any]:
    """What makes a Service in the server's own store: far quicker than it would take them one by one."""
    name = f"many-{number}"
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    spec = {"clusterIP": "None", "clusterIPs": ["None"], "type": "ClusterIP", "ports": ports}
    body = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }
    return {"requestPut": {"key": encoded(f"{STORED}/{name}"), "value": encoded(json.dumps(body))}}


def store_many(kube: KubeApi, count: int) -> None:
    for start in range(0, count, 100):
        kube.etcd.gateway("kv/txn", {"success": [stored(number) for number in range(start, start + 100)]})


def forget_many(kube: KubeApi) -> None:
    within = {"key": encoded(f"{STORED}/many-"), "range_end": encoded(f"{STORED}/many.")}
    kube.etcd.gateway("kv/deleterange", within)


async def test_five_thousand_services_are_read_page_by_page_and_followed(shop: KubeApi) -> None:
    await asyncio.to_thread(store_many, shop, 5000)
    try:
        async with reading(shop) as told:
            await until(lambda: sum("/many-" in one for one in told.sources) == 5000)
            await asyncio.to_thread(endpoint_slice, shop, "many-4321", "10.0.2.1")
            await until(lambda: told.addresses("many-4321") == ["10.0.2.1"])
            await asyncio.to_thread(shop.call, "DELETE", f"{SLICES}/many-4321-1")
            await until(lambda: told.addresses("many-4321") == [])
    finally:
        await asyncio.to_thread(forget_many, shop)


async def test_a_history_that_the_server_has_no_more_is_said_to_be_gone(shop: KubeApi) -> None:
    """A server that started anew knows nothing of before; whoever follows lists again then."""
    await asyncio.to_thread(shop.kill)
    shop.run()  # here: a server ends with the thread that started it
    async with Client.open(cluster_access(str(shop.kubeconfig()))) as client:
        with pytest.raises(Gone):
            async for _ in client.watch(SERVICE, since="1"):
                pass


async def test_a_missing_right_is_named(shop: KubeApi) -> None:
    async with reading(shop, token=shop.stranger) as told:
        await until(
            lambda: [reason for reason in told.troubles if 'resources: ["services"], verbs: [get' in reason]
        )
        assert told.lists == 0
