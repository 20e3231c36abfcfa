"""Counting for all proxies: windows, values, who may ask."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse
from prometheus_client import CollectorRegistry

from artemon.model.limit_terms import TERMS, Terms
from mixerd.counting import Counting
from mixerd.limits import Limits
from mixerd.records import Reporter
from mixerd.shares import Shares

FIXED = Terms("shop/api/all", 3, 60)
SLIDING = FIXED._replace(sliding=True)


def allowed(limits: Limits, terms: Terms, now: float, times: int = 1, values: tuple[str, ...] = ()) -> int:
    return sum(limits.hit(terms, values, 1, now).allowed for _ in range(times))


def test_a_window_allows_so_many_and_begins_anew() -> None:
    limits = Limits()
    assert allowed(limits, FIXED, 0, 5) == 3
    assert allowed(limits, FIXED, 59.9, 5) == 0
    assert allowed(limits, FIXED, 60, 5) == 3


def test_a_sliding_window_weighs_the_last_one() -> None:
    limits = Limits()
    assert allowed(limits, SLIDING, 59, 5) == 3
    assert allowed(limits, SLIDING, 60, 5) == 0
    assert allowed(limits, SLIDING, 100, 5) == 2
    assert allowed(limits, SLIDING, 300, 5) == 3


def test_values_have_limits_of_their_own() -> None:
    limits = Limits()
    assert allowed(limits, FIXED, 0, 5, ("user=a",)) == 3
    assert allowed(limits, FIXED, 0, 5, ("user=b",)) == 3


def test_what_is_counted_is_bounded() -> None:
    limits = Limits(most=10)
    for number in range(50):
        allowed(limits, FIXED, 0, 1, (f"user={number}",))
    assert len(limits) == 10


def test_more_than_one_at_once() -> None:
    limits = Limits()
    verdict = limits.hit(FIXED, (), 2, 10)
    assert (verdict.allowed, verdict.remaining, verdict.reset) == (True, 1, 50)
    assert not limits.hit(FIXED, (), 2, 10).allowed


def test_terms_survive_the_way() -> None:
    assert Terms.read(SLIDING.text()) == SLIDING
    for text in ("", "a 0 1 0", "a b c d", "a 1 1"):
        with pytest.raises(ValueError, match=r".+"):
            Terms.read(text)


def question(*terms: Terms) -> RateLimitRequest:
    out = RateLimitRequest(domain="artemon")
    for one in terms:
        entries = out.descriptors.add().entries
        entries.add(key=TERMS, value=one.text())
        entries.add(key="user", value="a")
    return out


def shares(me: str = "", replicas: tuple[str, ...] = ()) -> Shares:
    def nobody() -> Any:
        raise AssertionError("nobody is asked")

    return Shares(Limits(), now=lambda: 0.0, identity=nobody, me=me, replicas=replicas)


async def test_answers() -> None:
    counting = Counting(shares(), CollectorRegistry(), root="istio-system")
    reporter = Reporter("shop", "api", "api-v1")
    small = FIXED._replace(name="istio-system/mesh/small", requests=1)
    first = await counting.answer(question(FIXED, small), reporter)
    assert first.overall_code == RateLimitResponse.OK
    assert [one.limit_remaining for one in first.statuses] == [2, 0]
    assert first.statuses[0].current_limit.unit == RateLimitResponse.RateLimit.MINUTE
    second = await counting.answer(question(FIXED, small), reporter)
    assert second.overall_code == RateLimitResponse.OVER_LIMIT
    with pytest.raises(ValueError, match="not a limit of namespace other"):
        await counting.answer(question(FIXED), Reporter("other", "x", "x"))


def test_each_value_is_counted_by_one_of_all() -> None:
    replicas = ("a:1", "b:1", "c:1")
    three = {me: shares(me, replicas) for me in replicas}
    values = [(f"user={number}",) for number in range(300)]
    owners = {me: [one.owner(FIXED, value) or me for value in values] for me, one in three.items()}
    assert owners["a:1"] == owners["b:1"] == owners["c:1"]
    counts = Counter(owners["a:1"])
    assert all(60 < counts[me] < 140 for me in replicas), counts
    fewer = shares("a:1", replicas[:2])
    moved = sum(
        (fewer.owner(FIXED, value) or "a:1") != old for value, old in zip(values, owners["a:1"], strict=True)
    )
    assert moved == counts["c:1"], "only what the one that left had counted"


async def test_fellows_count_here_whatever_they_ask_for() -> None:
    counting = Counting(shares("a:1", ("a:1", "b:1")), CollectorRegistry(), root="istio-system")
    mixerd = Reporter("artemon-system", "mixerd", "mixerd")
    answer = await counting.answer(question(*[FIXED._replace(name=f"shop/x/{n}") for n in range(20)]), mixerd)
    assert len(answer.statuses) == 20
