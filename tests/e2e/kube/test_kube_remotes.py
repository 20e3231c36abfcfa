"""Two real clusters, one of which tells of the other by a Secret: services add up, an outage freezes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from kube_server import KubeApi
from prometheus_client import CollectorRegistry

from artemon.log import Log
from artemon.registry.aggregate import Registries
from artemon.registry.open import open_registries
from artemon.snapshot.build import build
from artemon.snapshot.changes import Change, ServiceKey
from artemon.snapshot.world import World
from artemon.store import clock

pytestmark = [pytest.mark.kube, pytest.mark.timeout(300)]
SPACE = "twoclusters"
NS = f"/api/v1/namespaces/{SPACE}"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{SPACE}/endpointslices"
HOST = f"web.{SPACE}.svc.cluster.local"


def shop(kube: KubeApi, *addresses: str) -> None:
    """Service web with these instances."""
    kube.create("/api/v1/namespaces", {"metadata": {"name": SPACE}})
    kube.service_account(SPACE)
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    kube.create(f"{NS}/services", {"metadata": {"name": "web"}, "spec": {"ports": ports}})
    meta = {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}
    kube.create(SLICES, {"metadata": meta, "addressType": "IPv4", **listed(*addresses)})


def listed(*addresses: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 8080}]
    return {"ports": ports, "endpoints": [{"addresses": [one]} for one in addresses]}


def told_of(kube: KubeApi) -> dict[str, Any]:
    """The Secret that tells of a cluster, as `istioctl create-remote-secret` makes it."""
    config = json.loads(kube.kubeconfig().read_text())
    root = base64.b64encode(kube.ca.read_bytes()).decode()
    config["clusters"][0]["cluster"] = {"server": kube.url, "certificate-authority-data": root}
    meta = {"name": "istio-remote-secret-west", "labels": {"istio/multiCluster": "true"}}
    return {"metadata": meta, "type": "Opaque", "stringData": {"west": json.dumps(config)}}


async def test_two_clusters_are_one_mesh(lasting_kube: KubeApi, kube: KubeApi) -> None:
    home, west, world = lasting_kube, kube, World()
    shop(home, "10.1.0.1")
    shop(west, "10.2.0.1", "10.2.0.2")

    def deliver(changes: list[Change]) -> None:
        world.apply(changes)

    def instances() -> set[str]:
        found = build(world).instances.get(ServiceKey(HOST, SPACE), ())
        return {one.address for one in found}

    async def until(ready: Callable[[], object]) -> None:
        async with asyncio.timeout(90):
            while not ready():
                await asyncio.sleep(0.05)

    url = f"kubernetes://{home.kubeconfig()}?name=home&proof=0.5&remotes={SPACE}"
    registries = Registries(
        open_registries([url]),
        deliver,
        log=Log("test"),
        registry=CollectorRegistry(),
        now=clock.now,
        data_dir=None,
    )
    running = asyncio.create_task(registries.run())

    def state(name: str) -> str:
        return next((str(one["state"]) for one in registries.status() if one["name"] == name), "")

    def trouble() -> str:
        return next((str(one["reason"]) for one in registries.status() if one["name"] == "west"), "")

    try:
        await until(lambda: instances() == {"10.1.0.1"})
        made = await asyncio.to_thread(home.create, f"{NS}/secrets", told_of(west))
        await until(lambda: instances() == {"10.1.0.1", "10.2.0.1", "10.2.0.2"})
        assert state("west") == "ok"
        await asyncio.to_thread(west.kill)
        await until(trouble)
        await asyncio.to_thread(
            home.call, "PUT", f"{SLICES}/web-1", {**home.call("GET", f"{SLICES}/web-1"), **listed("10.1.0.9")}
        )
        await until(lambda: "10.1.0.9" in instances())
        assert instances() == {"10.1.0.9", "10.2.0.1", "10.2.0.2"}
        west.run()  # here: a server ends with the thread that started it
        await asyncio.to_thread(west.call, "DELETE", f"{SLICES}/web-1")
        await until(lambda: instances() == {"10.1.0.9"})
        await until(lambda: state("west") == "ok")
        path = f"{NS}/secrets/{made['metadata']['name']}"
        await asyncio.to_thread(home.call, "DELETE", path)
        await until(lambda: state("west") == "")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
