"""Durations as Go reads them, given back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.model.duration import Nanoseconds, parse_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1h30m", 5_400_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("250ms", 250_000_000),
        ("2us", 2_000),
        ("2µs", 2_000),
        ("-1s", -1_000_000_000),
        ("+1s", 1_000_000_000),
        ("0", 0),
        ("0s", 0),
        ("0.1ns", 0),
        ("3.000000042s", 3_000_000_042),
    ],
)
def test_is_read(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "5d", "1s2", "--1s", "1e3s", "٣s", "1h-5m", "400000000000s", "-"]
)
def test_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


@given(st.integers(-(10**18), 10**18))
def test_canonical_text_says_the_same(value: int) -> None:
    assert parse_duration(str(Nanoseconds(value))) == value
