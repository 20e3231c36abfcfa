"""Virtual addresses: the same for all who compute them, kept once given, for proxies that answer DNS."""

from __future__ import annotations

import random
from ipaddress import ip_address
from typing import Any

import pytest

from artemon.model.auto_addresses import V4, V6, allotted, claimed
from artemon.model.decode import decode
from artemon.model.mesh_config import MeshConfig
from artemon.model.resource import Resource
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.build import build
from artemon.snapshot.changes import Upsert
from artemon.snapshot.world import World
from artemon.translate import messages
from artemon.xds.types import LISTENER

CAPTURES = {"metadata": {"DNS_CAPTURE": "true"}}


def entry(name: str, *, day: int = 1, status: Any = None, labels: Any = None, **spec: Any) -> dict[str, Any]:
    created = f"2026-01-{day:02}T00:00:00Z"
    spec = {
        "hosts": [f"{name}.com"],
        "resolution": "DNS",
        "ports": [{"number": 9000, "name": "tcp", "protocol": "TCP"}],
        **spec,
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {
            "name": name,
            "namespace": "default",
            "creationTimestamp": created,
            "labels": labels or {},
        },
        "spec": spec,
        **({"status": {"addresses": status}} if status else {}),
    }


def read(*entries: dict[str, Any]) -> list[Resource[Any]]:
    return [decode(one) for one in entries]


def test_addresses_come_from_the_name_and_lie_in_their_blocks() -> None:
    many = [entry(f"a{number}") for number in range(500)]
    found = allotted(read(*many))
    random.Random(1).shuffle(many)
    assert allotted(read(*many)) == found
    assert len(set(found.values())) == len(found) == 500
    assert all(ip_address(v4) in V4 and ip_address(v6) in V6 for v4, v6 in found.values())
    assert found["default", "a1.com"] == allotted(read(entry("a1")))["default", "a1.com"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"addresses": ["10.0.0.1"]}, id="has-its-own"),
        pytest.param({"resolution": "NONE"}, id="no-resolution"),
        pytest.param({"hosts": ["*.a.com"], "endpoints": [{"address": "b.com"}]}, id="wildcard"),
        pytest.param({"labels": {"networking.istio.io/enable-autoallocate-ip": "false"}}, id="opted-out"),
    ],
)
def test_who_gets_none(changes: dict[str, Any]) -> None:
    assert allotted(read(entry("a", **changes))) == {}
    (one,) = read(entry("a", **changes))
    assert claimed(one, {}) == []


def test_what_was_given_stays_and_the_older_keeps_what_two_have() -> None:
    said = [{"value": "240.240.1.1", "host": "a.com"}]
    assert allotted(read(entry("a", status=said)))["default", "a.com"][0] == "240.240.1.1"
    both = read(
        entry("a", day=2, status=said),
        entry("b", day=1, status=[{"value": "240.240.1.1", "host": "b.com"}]),
    )
    found = allotted(both)
    assert found["default", "b.com"][0] == "240.240.1.1"
    assert found["default", "a.com"] == allotted(read(entry("a")))["default", "a.com"]


@pytest.mark.parametrize("said", ["10.0.0.1", "240.240.0.0", "240.241.0.1", "x", "2001:2::1"])
def test_a_status_cannot_take_other_addresses(said: str) -> None:
    found = allotted(read(entry("a", status=[{"value": said, "host": "a.com"}])))
    assert found == allotted(read(entry("a")))


def test_claims_are_kept_and_keep_off_what_others_have() -> None:
    (one,) = read(entry("a"))
    first = claimed(one, {})
    number = int(ip_address(first[0]["value"])) - int(V4.network_address)
    moved = claimed(one, {number: ("default", "b.com")})
    assert [one["host"] for one in first] == ["a.com", "a.com"]
    assert moved[0]["value"] == str(ip_address(int(V4.network_address) + number + 1))
    (again,) = read(entry("a", status=moved))
    assert claimed(again, {}) == moved


def test_only_proxies_that_answer_dns_use_them() -> None:
    snapshot = snapshot_of([entry("a"), entry("b")], MeshConfig())
    plain, captures = (messages(snapshot.view(read_proxy(fields))) for fields in ({}, CAPTURES))
    addresses = allotted(read(entry("a"), entry("b")))
    wanted = {f"{v4}_9000" for v4, _ in addresses.values()} | {f"[{v6}]_9000" for _, v6 in addresses.values()}
    assert wanted <= set(captures[LISTENER])
    assert not wanted & set(plain[LISTENER])
    assert "0.0.0.0_9000" in plain[LISTENER]


def test_addresses_that_nobody_catches_are_not_told() -> None:
    uncaught = {"metadata": {"DNS_CAPTURE": "true", "INTERCEPTION_MODE": "NONE"}}
    assert (
        snapshot_of([entry("a")], MeshConfig()).view(read_proxy(uncaught)).services["a.com"].addresses == ()
    )


def test_a_status_that_comes_later_is_followed() -> None:
    (before,) = read(entry("a"))
    (after,) = read(entry("a", status=[{"value": "240.240.9.9", "host": "a.com"}]))
    world = World()
    snapshot = build(world, None, world.apply([Upsert("k", before)]))
    snapshot.view(read_proxy(CAPTURES))
    snapshot = build(world, snapshot, world.apply([Upsert("k", after)]))
    seen = snapshot.view(read_proxy(CAPTURES)).services["a.com"]
    assert seen.addresses[0] == "240.240.9.9"
