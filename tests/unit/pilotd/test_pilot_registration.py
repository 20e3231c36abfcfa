"""A proxy that names a WorkloadGroup becomes a WorkloadEntry of it, as in Istio."""

from __future__ import annotations

import pytest
from pilot_clients import Mesh, identity, mesh, node, service_entry, until

from artemon.store.open import open_store
from artemon.xds.types import CLUSTER, ENDPOINTS
from pilotd import records
from pilotd.discovery import Options
from pilotd.registration import entry_name

GROUP = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "WorkloadGroup",
    "metadata": {"name": "vm", "namespace": "books"},
    "spec": {
        "metadata": {"labels": {"app": "shop", "tier": "metadata"}, "annotations": {"owner": "us"}},
        "template": {
            "labels": {"app": "template", "tier": "template", "class": "vm"},
            "ports": {"http-web": 8080},
            "locality": "north/a",
            "network": "lan",
            "weight": 7,
            "serviceAccount": "reviews",
        },
    },
}
RECORD = "workloads/books/_/vm-127.0.1.1"
SHOP = "outbound|80||shop.example.com"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(records, "DRAIN_SECONDS", 0.05)


async def group(running: Mesh, **template: object) -> None:
    spec = {**GROUP["spec"], "template": {**GROUP["spec"]["template"], **template}}
    await running.write("config/workloadgroups/books/vm", {**GROUP, "spec": spec})
    await until(lambda: bool(running.discovery.world.resources("WorkloadGroup")))


def machine(**metadata: object):
    told = {"AUTO_REGISTER_GROUP": "vm", "ARTEMON_SERVICE": "", "ARTEMON_PORTS": "", **metadata}
    return node("host-1", **told)


async def test_a_machine_gets_what_its_group_says_and_its_own_words_win() -> None:
    async with mesh() as running:
        await group(running)
        running.connect(machine(LABELS={"tier": "own"}))
        record = await running.eventually(RECORD, bool)
    assert record is not None
    assert record["labels"] == {"app": "shop", "tier": "own", "class": "vm"}
    assert (record["locality"], record["network"], record["weight"]) == ("north/a", "lan", 7)
    assert record["entry"] == "vm-127.0.1.1"
    assert [(one["name"], one["number"], one["protocol"]) for one in record["ports"]] == [
        ("http-web", 8080, "HTTP")
    ]
    told = record["annotations"]
    assert (told["istio.io/autoRegistrationGroup"], told["owner"]) == ("vm", "us")
    assert told["istio.io/workloadController"]
    assert told["istio.io/connectedAt"].endswith("Z")


async def test_a_service_entry_selects_it_and_it_goes_after_a_grace(quick: None) -> None:
    async with mesh() as running:
        await group(running)
        selecting = service_entry("shop", "shop.example.com", endpoints=[])
        selecting["spec"] |= {"workloadSelector": {"labels": {"app": "shop"}}, "location": "MESH_INTERNAL"}
        await running.write("config/serviceentries/books/shop", selecting)
        looker = running.connect(node())
        await looker.until(CLUSTER, SHOP)
        looker.ask(ENDPOINTS, SHOP)
        joined = running.connect(machine(INSTANCE_IPS="10.3.2.1"))
        await looker.until(ENDPOINTS, SHOP, b"10.3.2.1")
        joined.pipe.requests.put_nowait(None)
        await running.eventually("workloads/books/_/vm-10.3.2.1", lambda found: found is None)
        await until(lambda: b"10.3.2.1" not in looker.held[ENDPOINTS][SHOP])


async def test_another_pilotd_takes_the_entry_over(quick: None) -> None:
    store = await open_store("memory://")
    async with mesh(store) as first, mesh(store, options=Options(pilot="pilot-b")) as second:
        await group(first)
        await until(lambda: bool(second.discovery.world.resources("WorkloadGroup")))
        gone = first.connect(machine())
        before = await first.eventually(RECORD, bool)
        second.connect(machine())
        controller = "istio.io/workloadController"
        taken = await second.eventually(RECORD, lambda found: found["annotations"][controller] == "pilot-b")
        gone.pipe.requests.put_nowait(None)
        await until(lambda: first.registry.get_sample_value("pilot_registered_workloads") == 0)
        assert await second.value(RECORD) == taken
    assert before is not None
    assert taken is not None
    assert before["annotations"][controller] == "pilot-a"
    assert taken["labels"] == before["labels"]


@pytest.mark.parametrize(
    ("given", "account", "reason"),
    [
        pytest.param("none", "reviews", "there is no WorkloadGroup/books/none", id="no-such-group"),
        pytest.param("vm", "other", 'is for service account "other", not "reviews"', id="other-account"),
    ],
)
async def test_who_may_not_register_is_told_why(given: str, account: str, reason: str) -> None:
    async with mesh() as running:
        await group(running, serviceAccount=account)
        running.connect(machine(AUTO_REGISTER_GROUP=given), peer=identity())
        await until(lambda: bool(running.ended))
        assert running.ended[0].status == "FAILED_PRECONDITION"
        assert reason in str(running.ended[0])
        assert await running.value(RECORD) is None


@pytest.mark.parametrize(
    ("group_name", "address", "network", "name"),
    [
        pytest.param("vm", "10.0.0.1", "", "vm-10.0.0.1", id="ipv4"),
        pytest.param("vm", "fd77::1", "lan", "vm-fd77--1-lan", id="ipv6-and-network"),
        pytest.param("v" * 300, "10.0.0.1", "", "v" * 244 + "-10.0.0.1", id="too-long"),
        pytest.param("vm", "10.0.0.1", "East_1", "vm-10.0.0.1-east-1", id="what-a-name-cannot-have"),
    ],
)
def test_entries_have_istios_names(group_name: str, address: str, network: str, name: str) -> None:
    assert entry_name(group_name, address, network) == name
