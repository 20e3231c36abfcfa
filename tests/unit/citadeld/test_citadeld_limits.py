"""Token buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from citadeld.limits import Limiter, Rate


def test_burst_then_the_lasting_rate() -> None:
    limiter = Limiter(Rate(per_second=2, burst=3))
    assert [limiter.allow("a", now=0) for _ in range(4)] == [True, True, True, False]
    assert [limiter.allow("a", now=0.5) for _ in range(2)] == [True, False]
    assert limiter.allow("b", now=0.5)


@given(st.lists(st.floats(0, 10), max_size=200))
def test_never_more_than_burst_and_rate(waits: list[float]) -> None:
    limiter, now, allowed = Limiter(Rate(per_second=1, burst=5)), 0.0, 0
    for wait in waits:
        now += wait
        allowed += limiter.allow("a", now=now)
    assert allowed <= 5 + now + 1e-6


def test_many_names_need_bounded_room() -> None:
    limiter = Limiter(Rate(per_second=1, burst=1), most=100)
    for number in range(10_000):
        limiter.allow(str(number), now=0)
    assert not limiter.allow("9999", now=0)
    assert limiter.allow("0", now=0)  # forgotten, so it starts full
