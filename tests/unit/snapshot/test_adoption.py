"""A machine that another registry knows joins: it stays the registry's, and is reached by mutual TLS."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from world_in_yaml import joined

from artemon.model.service import Endpoint, Health, Port, Protocol, Service
from artemon.snapshot.build import build
from artemon.snapshot.changes import Change, Delete, ServiceKey, Upsert
from artemon.snapshot.services import REGISTERED, Source
from artemon.snapshot.world import World

HOST, KEY = "web.service.consul", "registry/consul/ns/web"
MACHINE = "workloads/ns/_/vm"


def registered(**fields: Any) -> Upsert:
    endpoint = Endpoint("10.1.0.1", "ns", {"http-80": 8080}, service_account="web", **fields)
    service = Service(HOST, "ns", (Port(80, "http-80", Protocol.HTTP),), source="registry/consul")
    source = Source(
        id=KEY, namespace="ns", services=(service,), rank=REGISTERED, inline=(endpoint,), claims=False
    )
    return Upsert(KEY, source)


def machine(**fields: Any) -> Upsert:
    return joined("vm", "", **{"registry": "consul", "service_account": "web", **fields})


def shown(*steps: Change) -> Endpoint:
    """The instance after these changes, each of which was published by itself."""
    world = World()
    snapshot = build(world)
    for step in steps:
        touched = world.apply([step])
        snapshot = build(world, snapshot, touched)
    (found,) = snapshot.instances[ServiceKey(HOST, "ns")]
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(["machine", "registered"])), ids=" then ".join)
def test_it_is_reached_by_mutual_tls_whoever_came_first(order: tuple[str, ...]) -> None:
    made = {"machine": machine(), "registered": registered()}
    found = shown(*(made[name] for name in order))
    assert (found.mtls, found.ports, found.health) == (True, {"http-80": 8080}, Health.HEALTHY)


@pytest.mark.parametrize(
    ("joins", "mtls"),
    [
        pytest.param(machine(), True, id="the-same"),
        pytest.param(machine(service_account="other"), False, id="another-account"),
        pytest.param(machine(address="10.1.0.2"), False, id="another-address"),
        pytest.param(machine(registry="other"), False, id="another-registry"),
        pytest.param(machine(registry=""), False, id="said-nothing"),
        pytest.param(joined("vm", "", namespace="else", registry="consul", service_account="web"), False,
                     id="another-namespace"),
    ],
)  # fmt: skip
def test_only_who_is_meant_is_adopted(joins: Upsert, mtls: bool) -> None:
    assert shown(registered(), joins).mtls is mtls


def test_the_worse_health_counts() -> None:
    assert shown(registered(), machine(health=Health.DRAINING)).health is Health.DRAINING
    assert shown(registered(health=Health.UNHEALTHY), machine()).health is Health.UNHEALTHY


def test_what_leaves_is_as_before() -> None:
    assert not shown(registered(), machine(), Delete(MACHINE)).mtls
    moved = machine(address="10.1.0.9")
    assert not shown(registered(), machine(), moved).mtls
    assert shown(machine(), registered(), Delete(KEY), registered()).mtls
