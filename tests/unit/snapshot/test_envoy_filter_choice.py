"""Which EnvoyFilters a proxy gets."""

from __future__ import annotations

from typing import Any

import pytest
from world_in_yaml import obj, proxy, snapshot

from artemon.model.proxy import ProxyType

SELECTED = {"workloadSelector": {"labels": {"app": "web"}}}
TARGET = {"targetRefs": [{"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "g"}]}


@pytest.mark.covers(
    "EnvoyFilter.workloadSelector",
    "EnvoyFilter.targetRefs.group",
    "EnvoyFilter.targetRefs.kind",
    "EnvoyFilter.targetRefs.name",
    "EnvoyFilter.targetRefs.namespace",
)
@pytest.mark.parametrize(
    ("namespace", "spec", "chosen"),
    [
        pytest.param("ns", {}, True, id="own-namespace"),
        pytest.param("istio-system", {}, True, id="root-namespace"),
        pytest.param("other", {}, False, id="another-namespace"),
        pytest.param("ns", SELECTED, True, id="selected"),
        pytest.param("istio-system", SELECTED, True, id="selected-from-the-root"),
        pytest.param("ns", {"workloadSelector": {"labels": {"app": "x"}}}, False, id="not-selected"),
        pytest.param("ns", TARGET, False, id="attached-to-something-else"),
    ],
)
def test_a_filter_is_for_the_proxy(namespace: str, spec: dict[str, Any], chosen: bool) -> None:
    world = snapshot(obj("EnvoyFilter", "f", spec, namespace=namespace))
    view = world.view(proxy(labels={"app": "web"}))
    assert [one.meta.name for one in view.envoy_filters] == (["f"] if chosen else [])


@pytest.mark.parametrize(
    ("target", "labels", "chosen"),
    [
        pytest.param({}, {"gateway.networking.k8s.io/gateway-name": "g"}, True, id="gateway"),
        pytest.param({}, {"gateway.networking.k8s.io/gateway-name": "h"}, False, id="another-gateway"),
        pytest.param({}, {}, False, id="no-gateway-of-the-api"),
        pytest.param(
            {"kind": "GatewayClass"}, {"gateway.networking.k8s.io/gateway-class-name": "g"}, True, id="class"
        ),
        pytest.param({"kind": "Service", "group": ""}, {"app": "g"}, False, id="service-of-a-waypoint"),
    ],
)
def test_what_is_attached_to_a_gateway_is_for_its_proxies(
    target: dict[str, Any], labels: dict[str, str], chosen: bool
) -> None:
    spec = {"targetRefs": [{**TARGET["targetRefs"][0], **target}]}
    namespace = "istio-system" if target.get("kind") == "GatewayClass" else "ns"
    world = snapshot(obj("EnvoyFilter", "f", spec, namespace=namespace))
    router = world.view(proxy(type=ProxyType.ROUTER, labels=labels))
    assert bool(router.envoy_filters) is chosen
    assert not world.view(proxy(labels=labels)).envoy_filters


def test_the_root_namespace_counts_once_for_its_own_proxies() -> None:
    world = snapshot(obj("EnvoyFilter", "f", {}, namespace="istio-system"))
    assert len(world.view(proxy(namespace="istio-system")).envoy_filters) == 1


def test_equal_choices_are_the_same_object() -> None:
    world = snapshot(obj("EnvoyFilter", "f", {}), obj("EnvoyFilter", "g", {}, namespace="istio-system"))
    one, other = (world.view(proxy(labels={"app": app})).envoy_filters for app in "ab")
    assert one is other
