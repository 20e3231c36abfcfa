"""What a proxy was sent, as rows."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.commands.proxy_status import state
from meshctl.connection import table
from meshctl.proxy_tables import TABLES
from meshctl.waiting import exit_status

SDS = {"combinedValidationContext": {"sds": {"name": "ROOTCA", "sdsConfig": {}}}}
CONFIG = {
    "filterMetadata": {"istio": {"config": "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/vs"}}
}
HCM = {"typedConfig": {"rds": {"routeConfigName": "9080"}}}
WEIGHTED = {"clusters": [{"name": "a", "weight": 9}, {"name": "b", "weight": 1}]}
ADDRESS = {"socketAddress": {"address": "10.0.0.1", "portValue": 80}}


@pytest.mark.parametrize(
    ("section", "dump", "rows"),
    [
        pytest.param(
            "start",
            [
                {"name": "settings", "environment": {"A": "b"}, "concurrency": 2},
                {"name": "EnvoyFilter/ns/f/0"},
            ],
            [["concurrency", "2"], ["A", "b"], ["EnvoyFilter/ns/f/0", "patch"]],
            id="start",
        ),
        pytest.param(
            "clusters",
            [{"name": "outbound|80|v1|a.shop.svc", "type": "EDS", "metadata": CONFIG}],
            [["a.shop.svc", "80", "v1", "outbound", "EDS", "vs.shop"]],
            id="cluster",
        ),
        pytest.param(
            "clusters", [{"name": "Hole"}], [["Hole", "-", "-", "-", "STATIC", ""]], id="bare-cluster"
        ),
        pytest.param(
            "listeners",
            [
                {
                    "address": ADDRESS,
                    "filterChains": [{"filterChainMatch": {"serverNames": ["a"]}, "filters": [HCM]}],
                }
            ],
            [["10.0.0.1", "80", "SNI: a", "Route: 9080"]],
            id="listener",
        ),
        pytest.param(
            "listeners",
            [{"address": ADDRESS, "defaultFilterChain": {"filters": [{"typedConfig": {"cluster": "c"}}]}}],
            [["10.0.0.1", "80", "ALL", "Cluster: c"]],
            id="default-chain",
        ),
        pytest.param(
            "routes",
            [
                {
                    "name": "80",
                    "virtualHosts": [
                        {
                            "name": "h",
                            "domains": ["a", "b", "c", "d"],
                            "routes": [
                                {
                                    "match": {"prefix": "/x"},
                                    "route": {"weightedClusters": WEIGHTED},
                                    "metadata": CONFIG,
                                },
                                {"match": {"path": "/y", "headers": [{"name": "end-user"}]}, "redirect": {}},
                            ],
                        }
                    ],
                }
            ],
            [
                ["80", "h", "a, b, c + 1 more", "/x*", "a (9), b (1)", "vs.shop"],
                ["80", "h", "a, b, c + 1 more", "/y [end-user]", "redirect", ""],
            ],
            id="routes",
        ),
        pytest.param(
            "endpoints",
            [{"clusterName": "c", "endpoints": [{"lbEndpoints": [{"endpoint": {"address": ADDRESS}}]}]}],
            [["10.0.0.1:80", "HEALTHY", "1", "c"]],
            id="endpoint",
        ),
    ],
)
def test_rows(section: str, dump: list[Any], rows: list[list[str]]) -> None:
    titles, make = TABLES[section]
    assert make({section: dump}) == rows
    assert {len(row) for row in rows} == {len(titles)}


def test_secrets_are_those_that_are_referred_to() -> None:
    dump = {
        "clusters": [{"x": SDS}, {"y": [SDS, SDS]}],
        "listeners": [
            {"name": name, "sdsConfig": {}} for name in ("default", "kubernetes://a", "kubernetes://b")
        ],
        "secrets": [{"name": "kubernetes://a", "delivered": True}, {"name": "kubernetes://b"}],
    }
    assert TABLES["secrets"][1](dump) == [
        ["ROOTCA", "proxyd", "2", "0"],
        ["default", "proxyd", "0", "1"],
        ["kubernetes://a", "pilotd", "0", "1"],
        ["kubernetes://b", "ABSENT", "0", "1"],
    ]


@pytest.mark.parametrize(
    ("of", "shown"),
    [
        ({}, "NOT SENT"),
        ({"sent": "a"}, "STALE"),
        ({"sent": "b", "acked": "a"}, "STALE"),
        ({"sent": "a", "acked": "a"}, "SYNCED"),
        ({"sent": "a", "acked": "a", "nacked": {"message": "m"}}, "NACKED"),
    ],
)
def test_state_of_a_type(of: dict[str, Any], shown: str) -> None:
    assert state(of) == shown


@pytest.mark.parametrize(
    ("found", "status"),
    [({"done": True, "nacks": []}, 0), ({"done": True, "nacks": [1]}, 1), ({"done": False, "nacks": []}, 3)],
)
def test_exit_status_of_waiting(found: dict[str, Any], status: int) -> None:
    assert exit_status(found) == status


def test_columns_are_aligned() -> None:
    assert table(["A", "LONGER"], [["wide cell", "x"], ["", ""]]) == "A           LONGER\nwide cell   x\n"
