"""RateLimits that each proxy counts itself, on real Envoys."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from real_envoy import envoy
from reporting_pair import CLIENT, Pair, running_pair

pytestmark = [pytest.mark.envoy, pytest.mark.e2e]


def rule(name: str, path: str, requests: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "match": {"path": {"prefix": path}}, "requests": requests, "per": "3600s", **more}


GOLD = [{"value": "gold", "requests": 4}]
RULES = [
    rule("posts", "/20", 2, by=[{"header": "x-user"}], overrides=GOLD),
    rule("callers", "/226", 1, by=[{"attribute": "PRINCIPAL"}]),
    rule("watched", "/207", 1, shadow=True),
    rule("nobody", "/208", 9, scope="GLOBAL", failOpen=False),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    envoy()
    limit = {
        "apiVersion": "policy.artemon.io/v1",
        "kind": "RateLimit",
        "spec": {
            "selector": {"matchLabels": {"app": "reviews"}},
            "rules": RULES,
            "maxRequestBytes": 1000,
            "maxConcurrentRequests": 2,
        },
    }
    with running_pair(tmp_path_factory.mktemp("limits"), [limit]) as running:
        yield running


def ask(pair: Pair, path: str, user: str = "") -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(CLIENT, pair.proxy, timeout=20)
    connection.request("GET", f"http://reviews:9080{path}", headers={"x-user": user} if user else {})
    answer = connection.getresponse()
    answer.read()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def statuses(pair: Pair, path: str, times: int, user: str = "") -> list[int]:
    return [ask(pair, path, user)[0] for _ in range(times)]


def test_each_value_has_a_limit_of_its_own(pair: Pair) -> None:
    assert statuses(pair, "/200", 3, "ann") == [200, 200, 429]
    assert statuses(pair, "/200", 3, "bob") == [200, 200, 429]


def test_one_value_may_have_another_limit(pair: Pair) -> None:
    assert statuses(pair, "/200", 5, "gold") == [200, 200, 200, 200, 429]


def test_what_has_no_such_value_is_not_limited(pair: Pair) -> None:
    assert statuses(pair, "/200", 4) == [200] * 4


def test_who_is_refused_is_told_the_limit(pair: Pair) -> None:
    _, headers = ask(pair, "/201", "carol")
    assert headers["x-ratelimit-remaining"] == "1"
    assert headers["x-ratelimit-limit"].startswith("2")


def test_by_the_identity_of_the_caller(pair: Pair) -> None:
    assert statuses(pair, "/226", 2) == [226, 429]


def test_a_shadow_refuses_nothing(pair: Pair) -> None:
    assert statuses(pair, "/207", 3) == [207] * 3


def test_refusals_are_counted_as_such(pair: Pair) -> None:
    statuses(pair, "/202", 3, "dora")
    labels, _ = pair.until("reviews", "istio_requests_total", response_code="429")
    assert labels["response_flags"] == "RL"


def test_where_nobody_counts_a_closed_limit_refuses_what_it_is_about(pair: Pair) -> None:
    assert statuses(pair, "/208", 1) == [403]
    assert statuses(pair, "/203", 1) == [203]


@pytest.mark.parametrize(("size", "status"), [(900, 206), (5000, 413)])
def test_how_large_a_request_may_be(pair: Pair, size: int, status: int) -> None:
    connection = http.client.HTTPConnection(CLIENT, pair.proxy, timeout=20)
    connection.request("POST", "http://reviews:9080/206", body=b"x" * size)
    assert connection.getresponse().status == status


def test_how_many_may_be_under_way(pair: Pair) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = Counter(status for status, _ in pool.map(lambda _: ask(pair, "/206?2"), range(6)))
    assert found[206] == 2, found
    assert found[503] == 4, found
    assert ask(pair, "/206?0")[0] == 206
