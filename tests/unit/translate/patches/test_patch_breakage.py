"""A patch that breaks a resource is left out alone, and named."""

from __future__ import annotations

from typing import Any

import pytest
from patched_mesh import (
    ECHO,
    LUA,
    ROOT,
    WEB_80,
    address,
    envoy_filter,
    listening,
    made,
    patch,
    script,
    static,
)

from artemon.model.rejected_patch import RejectedPatch

OUT = {"context": "SIDECAR_OUTBOUND"}
MANAGER = "envoy.filters.network.http_connection_manager"
FLAWS = [
    pytest.param(
        patch("HTTP_FILTER", "ADD", script("x = 1"), **OUT), "after the router", id="behind-the-router"
    ),
    pytest.param(
        patch(
            "HTTP_FILTER",
            "REMOVE",
            **OUT,
            listener={
                "filterChain": {
                    "filter": {"name": MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}
                }
            },
        ),
        "router",
        id="no-router",
    ),
    pytest.param(
        patch("NETWORK_FILTER", "INSERT_FIRST", ECHO, **OUT), "ends the chain", id="before-the-last"
    ),
    pytest.param(patch("FILTER_CHAIN", "REMOVE", **OUT), "without a filter chain", id="no-chain"),
    pytest.param(patch("CLUSTER", "MERGE", {"name": "x"}), "must stay", id="renamed"),
    pytest.param(
        patch("CLUSTER", "MERGE", {"common_lb_config": {"healthy_panic_threshold": {"value": 101}}}),
        "at most",
        id="too-much",
    ),
    pytest.param(patch("CLUSTER", "MERGE", {"connect_timeout": ["1s"]}), "is not", id="not-the-message"),
    pytest.param(
        patch("CLUSTER", "MERGE", {"lb_subset_config": {"fallback_policy": 9}}), "has no value", id="enum"
    ),
    pytest.param(
        patch("VIRTUAL_HOST", "MERGE", {"domains": ["x"]}, **OUT), "in two virtual hosts", id="domain-twice"
    ),
    pytest.param(
        patch("HTTP_ROUTE", "ADD", {"name": "x", "route": {"cluster": "y"}}, **OUT),
        "match is required",
        id="no-match",
    ),
    pytest.param(
        patch("HTTP_ROUTE", "ADD", {"match": {"prefix": "/"}}, **OUT), "needs one of", id="no-action"
    ),
    pytest.param(
        patch("HTTP_FILTER", "MERGE", {"typed_config": {"@type": LUA}}, **OUT),
        "what it patches is a",
        id="bad-type",
    ),
    pytest.param(
        patch("LISTENER", "ADD", listening(15001), **OUT), "virtualOutbound is there", id="address-taken"
    ),
    pytest.param(patch("CLUSTER", "ADD", static("BlackHoleCluster", address(9))), "already", id="name-taken"),
    pytest.param(patch("CLUSTER", "ADD", {"connect_timeout": "1s"}), "must not be empty", id="no-name"),
    pytest.param(patch("CLUSTER", "ADD"), "is missing", id="no-value"),
]


@pytest.mark.parametrize(("change", "reason"), FLAWS)
def test_what_breaks_a_resource_is_left_out_alone(change: dict[str, Any], reason: str) -> None:
    good = patch("CLUSTER", "MERGE", {"connect_timeout": "9s"}, cluster={"name": WEB_80})
    found = made(envoy_filter(change, good, name="g"))
    assert found.clusters[WEB_80]["connectTimeout"] == "9s"
    assert found.rejected
    assert {(one.object, one.patch) for one in found.rejected} == {(f"EnvoyFilter/{ROOT}/g", 0)}
    assert any(reason in one.reason for one in found.rejected), found.rejected


def test_a_rejection_says_what_where_and_why() -> None:
    found = made(envoy_filter(patch("CLUSTER", "MERGE", {"name": "x"})))
    first = found.rejected[0]
    assert str(first).startswith(
        f'EnvoyFilter/{ROOT}/f: spec.configPatches[0]: BlackHoleCluster: the name "Bl'
    )
    many = [RejectedPatch("EnvoyFilter/a/b", 1, f"c{n}", "why") for n in range(3)]
    assert str(many[0]) == "EnvoyFilter/a/b: spec.configPatches[1]: c0: why"
