"""RateLimit: what is refused, with its path."""

from __future__ import annotations

from typing import Any

import pytest

from artemon.model.decode import decode
from artemon.validate import problems

GOOD = {"name": "all", "requests": 5, "per": "60s"}


def found(**rule: Any) -> list[str]:
    fields = {
        "apiVersion": "policy.artemon.io/v1",
        "kind": "RateLimit",
        "metadata": {"name": "x", "namespace": "ns"},
        "spec": {"rules": [{**GOOD, **rule}]},
    }
    return [f"{one.path}: {one.message}" for one in problems(decode(fields)) if one.level == "error"]


def test_a_good_one() -> None:
    keys = [{"header": "x-user"}, {"attribute": "PRINCIPAL"}, {"claim": "sub"}]
    match = {"methods": ["GET", "POST"], "path": {"prefix": "/api"}, "headers": {"x-a": {"exact": "b"}}}
    assert found(by=keys, match=match, burst=9, overrides=[{"value": "ann", "requests": 50}]) == []
    assert found(scope="GLOBAL", window="SLIDING", failOpen=False, shadow=True) == []
    assert found(match={"methods": ["VERSION-CONTROL"]}, per="86400s", burst=5) == []


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"name": "A b"}, "spec.rules[0].name"),
        ({"requests": 0}, "spec.rules[0].requests"),
        ({"burst": 3}, "spec.rules[0].burst"),
        ({"burst": 9, "scope": "GLOBAL"}, "spec.rules[0].burst"),
        ({"window": "SLIDING"}, "spec.rules[0].window"),
        ({"per": "1500ms"}, "spec.rules[0].per"),
        ({"per": "48h"}, "spec.rules[0].per"),
        ({"by": [{"header": "a b"}]}, "spec.rules[0].by[0].header"),
        ({"by": [{}]}, "spec.rules[0].by[0]"),
        ({"overrides": [{"value": "x", "requests": 1}]}, "spec.rules[0].overrides[0]"),
        (
            {
                "by": [{"header": "a"}],
                "overrides": [{"value": "x", "requests": 1}, {"value": "x", "requests": 2}],
            },
            "spec.rules[0].overrides[1].value",
        ),
        (
            {"by": [{"header": "a"}], "overrides": [{"value": "x", "requests": 0}]},
            "spec.rules[0].overrides[0].requests",
        ),
        ({"per": "0s"}, "spec.rules[0].per"),
        ({"per": "86401s"}, "spec.rules[0].per"),
        ({"by": [{"claim": ""}]}, "spec.rules[0].by[0].claim"),
        ({"match": {"headers": {"": {"exact": "x"}}}}, "spec.rules[0].match.headers"),
        ({"match": {"methods": ["get"]}}, "spec.rules[0].match.methods[0]"),
        ({"match": {"methods": ["GET-"]}}, "spec.rules[0].match.methods[0]"),
        ({"match": {"path": {"regex": "("}}}, "spec.rules[0].match.path"),
    ],
)
def test_refused(rule: dict[str, Any], path: str) -> None:
    assert any(one.startswith(path) for one in found(**rule)), found(**rule)


def test_overrides_of_global_limits_are_of_what_the_request_says() -> None:
    over = [{"value": "spiffe://x", "requests": 1}]
    assert found(scope="GLOBAL", by=[{"attribute": "PRINCIPAL"}], overrides=over)
    assert not found(scope="LOCAL", by=[{"attribute": "PRINCIPAL"}], overrides=over)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec"),
        ({"rules": []}, "spec"),
        ({"maxRequestBytes": 2**31}, "spec.maxRequestBytes"),
        ({"maxRequestBytes": 1000}, None),
        ({"maxConcurrentRequests": 5}, None),
        ({"maxConcurrentRequests": 5, "port": 0}, "spec.port"),
        ({"maxConcurrentRequests": 5, "service": ""}, "spec.service"),
        ({"maxConcurrentRequests": 5, "service": "http://counts"}, "spec.service"),
        ({"maxConcurrentRequests": 5, "service": "10.0.0.1"}, "spec.service"),
        ({"maxConcurrentRequests": 5, "service": "counts.shop.svc.cluster.local"}, None),
    ],
)
def test_how_large_and_how_many(spec: dict[str, Any], path: str | None) -> None:
    meta = {"name": "x", "namespace": "ns"}
    one = decode({"apiVersion": "policy.artemon.io/v1", "kind": "RateLimit", "metadata": meta, "spec": spec})
    assert [problem.path for problem in problems(one)] == ([path] if path else [])
