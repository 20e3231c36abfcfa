"""Machines that a WorkloadGroup registered are shown as WorkloadEntries beside those applied."""

from __future__ import annotations

from galley_api import NETWORKING, Api

from artemon.model.proxy import WorkloadPort
from artemon.model.service import Health, Protocol
from artemon.model.workload import Workload, encode_workload

ENTRIES = f"{NETWORKING}/namespaces/shop/workloadentries"
APPLIED = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "WorkloadEntry",
    "metadata": {"name": "applied", "namespace": "shop", "labels": {"app": "db"}},
    "spec": {"address": "10.0.0.1"},
}
MACHINE = Workload(
    "host-1.shop",
    "shop",
    "",
    "10.0.0.2",
    (WorkloadPort(8080, "http", Protocol.HTTP, 8080, 8080),),
    labels={"app": "web"},
    service_account="web",
    health=Health.UNHEALTHY,
    entry="web-10.0.0.2",
    annotations={"istio.io/autoRegistrationGroup": "web"},
)


async def put(api: Api, name: str, value: Workload) -> None:
    await api.store.put(f"artemon/default/workloads/shop/_/{name}", encode_workload(value))


async def test_entries_of_a_group_are_listed_and_read(api: Api) -> None:
    await api.ask("POST", ENTRIES, APPLIED, code=201)
    await put(api, MACHINE.entry, MACHINE)
    await put(api, "gateway-1", Workload("gateway-1.shop", "shop", "", "10.0.0.3"))
    for path in (ENTRIES, f"{NETWORKING}/workloadentries"):
        found = (await api.ask("GET", path, code=200))["items"]
        assert [one["metadata"]["name"] for one in found] == ["applied", "web-10.0.0.2"]
    selected = (await api.ask("GET", f"{ENTRIES}?labelSelector=app=web", code=200))["items"]
    assert [one["metadata"]["name"] for one in selected] == ["web-10.0.0.2"]
    one = await api.ask("GET", f"{ENTRIES}/web-10.0.0.2", code=200)
    assert one["spec"] == {
        "address": "10.0.0.2",
        "ports": {"http": 8080},
        "labels": {"app": "web"},
        "weight": 1,
        "serviceAccount": "web",
    }
    assert one["metadata"]["annotations"] == {"istio.io/autoRegistrationGroup": "web"}
    assert one["status"]["conditions"][0] == {"type": "Healthy", "status": "False", "reason": "UNHEALTHY"}
    await api.ask("GET", f"{ENTRIES}/web-10.0.0.9", code=404)


async def test_they_are_not_for_users_to_delete(api: Api) -> None:
    await put(api, MACHINE.entry, MACHINE)
    await api.ask("DELETE", f"{ENTRIES}/web-10.0.0.2", code=404)
    await api.ask("DELETE", ENTRIES, code=200)
    await api.ask("GET", f"{ENTRIES}/web-10.0.0.2", code=200)
