"""Waits grow to their ceiling and are never zero."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from artemon.backoff import Backoff


def test_waits_double_until_the_ceiling_and_start_again_after_a_reset() -> None:
    backoff = Backoff(first=1, most=5)
    assert [backoff.next(0.999999) for _ in range(4)] == [0.999999 * n for n in (1, 2, 4, 5)]
    backoff.reset()
    assert backoff.next(0.5) == 0.5


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=200))
def test_every_wait_is_above_zero_and_below_the_ceiling(randoms: list[float]) -> None:
    backoff = Backoff(first=0.1, most=5)
    assert all(0 < backoff.next(random) <= 5 for random in randoms)
