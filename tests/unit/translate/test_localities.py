"""localityLbSetting: which instances a client prefers, by the rows of DestinationRule and MeshConfig."""

from __future__ import annotations

import json
from typing import Any

import pytest
from translate_mesh import view_of

from artemon.model.destination_rule import TrafficPolicy
from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint
from artemon.snapshot.view import ProxyView
from artemon.translate import messages
from artemon.translate.localities import (
    Preference,
    Standpoint,
    distance,
    is_within,
    place_distance,
    preference,
    shares_for,
)
from artemon.xds.types import CLUSTER, ENDPOINTS

NAME = "outbound|80||a.com"
EJECTING = {"outlierDetection": {"consecutive5xxErrors": 1}}
PLACES = ("eu/a/1", "eu/a/2", "eu/b", "us/c", "asia/d")


def spread(locality: str, policy: dict[str, Any], *, labels: dict[str, str] | None = None) -> ProxyView:
    """What a client sees of a service whose instances are in `PLACES`, under a rule with this policy."""
    endpoints = [
        {"address": f"10.0.0.{n}", "locality": place, "labels": {"version": f"v{n}"}}
        for n, place in enumerate(PLACES)
    ]
    spec = {
        "hosts": ["a.com"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": endpoints,
    }
    rule = {"host": "a.com", "trafficPolicy": policy}
    objects = [
        {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "x"}, "spec": one}
        for kind, one in (("ServiceEntry", spec), ("DestinationRule", rule))
    ]
    return view_of("\n---\n".join(map(json.dumps, objects)), {"locality": locality, "labels": labels or {}})


def placed(made: Any) -> dict[str, tuple[int, int]]:
    """Priority and weight of each place."""
    return {
        "/".join(filter(None, (one.locality.region, one.locality.zone, one.locality.sub_zone))): (
            one.priority,
            one.load_balancing_weight.value,
        )
        for one in made[ENDPOINTS][NAME].endpoints
    }


def groups(
    locality: str, setting: dict[str, Any], *, labels: dict[str, str] | None = None, eject: bool = True
) -> dict[str, tuple[int, int]]:
    """Priority and weight of each place that a client is sent, as `setting` has it."""
    policy = {"loadBalancer": {"localityLbSetting": setting}} | (EJECTING if eject else {})
    made = messages(spread(locality, policy, labels=labels))
    config: Any = made[CLUSTER][NAME]
    weighted = config.common_lb_config.HasField("locality_weighted_lb_config")
    assert weighted == bool(setting.get("distribute"))
    return placed(made)


ALIKE = dict.fromkeys(PLACES, (0, 1))


@pytest.mark.parametrize(
    ("client", "setting", "expected"),
    [
        pytest.param(
            "eu/a/1",
            {"enabled": True},
            {"eu/a/1": (0, 1), "eu/a/2": (1, 1), "eu/b": (2, 1), "us/c": (3, 1), "asia/d": (3, 1)},
            id="nearest-first",
        ),
        pytest.param("", {"enabled": True}, ALIKE, id="unknown-place"),
        pytest.param("eu/a/1", {"enabled": False}, ALIKE, id="enabled-false"),
        pytest.param(
            "eu/a/1",
            {"failover": [{"from": "eu", "to": "asia"}]},
            {"eu/a/1": (0, 1), "eu/a/2": (1, 1), "eu/b": (2, 1), "asia/d": (3, 1), "us/c": (4, 1)},
            id="failover",
        ),
        pytest.param(
            "eu/a/1",
            {"failoverPriority": ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"]},
            {"eu/a/1": (0, 1), "eu/a/2": (0, 1), "eu/b": (1, 1), "us/c": (2, 1), "asia/d": (2, 1)},
            id="failoverPriority-by-place",
        ),
        pytest.param(
            "eu/a/1",
            {"failoverPriority": ["version=v3"]},
            {"us/c": (0, 1), "eu/a/1": (1, 1), "eu/a/2": (1, 1), "eu/b": (1, 1), "asia/d": (1, 1)},
            id="failoverPriority-with-value",
        ),
        pytest.param(
            "eu/a/1",
            {"failoverPriority": ["version"]},
            {"eu/b": (0, 1), "eu/a/1": (1, 1), "eu/a/2": (1, 1), "us/c": (1, 1), "asia/d": (1, 1)},
            id="failoverPriority-of-the-client",
        ),
        pytest.param(
            "eu/a/1",
            {"distribute": [{"from": "eu/a/*", "to": {"eu/a/*": 80, "us/c": 20}}]},
            {"eu/a/1": (0, 40), "eu/a/2": (0, 40), "us/c": (0, 20)},
            id="distribute",
        ),
        pytest.param(
            "us/c",
            {"distribute": [{"from": "eu", "to": {"eu": 100}}]},
            ALIKE,
            id="distribute-from-elsewhere",
        ),
    ],
)
def test_places(client: str, setting: dict[str, Any], expected: dict[str, Any]) -> None:
    assert groups(client, setting, labels={"version": "v2"}) == expected


def test_failing_over_needs_ejection() -> None:
    assert groups("eu/a/1", {"failover": [{"from": "eu", "to": "us"}]}, eject=False) == ALIKE


def test_shares_hold_without_ejection() -> None:
    setting = {"distribute": [{"from": "*", "to": {"us": 100}}]}
    assert groups("eu/a/1", setting, eject=False) == {"us/c": (0, 100)}


@pytest.mark.covers(
    "DestinationRule.trafficPolicy.loadBalancer.localityLbSetting.enabled",
)
@pytest.mark.parametrize(
    ("mesh", "rule", "expected"),
    [
        pytest.param({}, {}, True, id="mesh-default"),
        pytest.param({"enabled": False}, {}, False, id="mesh-off"),
        pytest.param(
            {"enabled": False}, {"failover": [{"from": "a", "to": "b"}]}, False, id="rule-is-silent"
        ),
        pytest.param({"enabled": False}, {"enabled": True}, True, id="rule-switches-on"),
        pytest.param({"enabled": True}, {"enabled": False}, False, id="rule-switches-off"),
    ],
)
def test_who_decides(mesh: dict[str, Any], rule: dict[str, Any], expected: bool) -> None:
    written = {"loadBalancer": {"localityLbSetting": rule}} if rule else {}
    policy = TrafficPolicy.model_validate(written | EJECTING)
    config = MeshConfig.model_validate({"localityLbSetting": mesh} if mesh else {})
    assert preference(policy, config).nearest_first is expected


@pytest.mark.parametrize(
    ("locality", "pattern", "expected"),
    [
        pytest.param("eu/a/1", "*", True, id="any"),
        pytest.param("eu/a/1", "eu", True, id="region"),
        pytest.param("eu/a/1", "eu/*", True, id="any-zone"),
        pytest.param("eu/a/1", "eu/a/1", True, id="all-parts"),
        pytest.param("eu/a/1", "eu/b", False, id="other-zone"),
        pytest.param("eu", "eu/a", False, id="zone-unknown"),
        pytest.param("", "eu", False, id="place-unknown"),
    ],
)
def test_patterns_of_places(locality: str, pattern: str, expected: bool) -> None:
    assert is_within(locality, pattern) is expected


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        pytest.param("", {"eu/a": 0, "eu/b": 0, "us": 0}, id="unknown-client"),
        pytest.param("eu/a", {"eu/a": 1, "eu/b": 2, "us": 3}, id="zone-region-elsewhere"),
        pytest.param("asia", {"eu/a": 3, "eu/b": 3, "us": 3}, id="all-far"),
    ],
)
def test_distance_of_places(client: str, expected: dict[str, int]) -> None:
    assert {place: place_distance((), client, place) for place in expected} == expected


def test_shares_are_divided_by_weight() -> None:
    shares = Preference(shares=(("*", (("eu", 90), ("us", 10))),))
    assert shares_for(shares, "x", {"eu/a": 1, "eu/b": 2, "us": 5}) == {"eu/a": 30, "eu/b": 60, "us": 10}


def test_labels_stand_before_failover() -> None:
    both = Preference(failover=(("eu", "us"),), labels=("app",), nearest_first=True)
    client = Standpoint("eu", (("app", "x"),))
    near, far = (
        distance(
            both, client, Endpoint(address="10.0.0.1", namespace="", labels={"app": app}, locality=place)
        )
        for app, place in (("x", "asia"), ("y", "eu"))
    )
    assert near < far


ZONED = {"eu/a/1": 0, "eu/a/2": 0, "eu/b": 0}


@pytest.mark.covers(
    "DestinationRule.trafficPolicy.loadBalancer.zoneAwareLbSetting.enabled",
    "DestinationRule.trafficPolicy.loadBalancer.zoneAwareLbSetting.failover.from",
    "DestinationRule.trafficPolicy.loadBalancer.zoneAwareLbSetting.failover.to",
    "DestinationRule.trafficPolicy.loadBalancer.zoneAwareLbSetting.failoverPriority",
    "DestinationRule.trafficPolicy.loadBalancer.zoneAwareLbSetting.minClusterSize",
)
@pytest.mark.parametrize(
    ("setting", "eject", "expected"),
    [
        pytest.param({}, False, dict.fromkeys(PLACES, 0), id="nothing-fails-over"),
        pytest.param({}, True, ZONED | {"us/c": 1, "asia/d": 1}, id="zones-of-a-region-are-equally-near"),
        pytest.param(
            {"failover": [{"from": "eu", "to": "asia"}]},
            True,
            ZONED | {"asia/d": 1, "us/c": 2},
            id="failover",
        ),
        pytest.param(
            {"failoverPriority": ["version=v3"]},
            True,
            dict.fromkeys(PLACES, 1) | {"us/c": 0},
            id="failoverPriority",
        ),
        pytest.param({"enabled": False}, True, None, id="enabled-false"),
    ],
)
def test_zones(setting: dict[str, Any], eject: bool, expected: dict[str, int] | None) -> None:
    policy = {"loadBalancer": {"zoneAwareLbSetting": {"minClusterSize": 2, **setting}}}
    made = messages(spread("eu/a/1", policy | (EJECTING if eject else {})))
    config: Any = made[CLUSTER][NAME]
    zones = config.common_lb_config.zone_aware_lb_config
    assert config.common_lb_config.HasField("zone_aware_lb_config") is (expected is not None)
    assert zones.min_cluster_size.value == (2 if expected is not None else 0)
    if expected is not None:
        assert {place: found[0] for place, found in placed(made).items()} == expected
