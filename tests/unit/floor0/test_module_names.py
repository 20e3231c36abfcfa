"""Test modules are imported by their bare name: two of one name shadow each other when all tests run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[2]


def test_no_two_modules_of_the_tests_share_a_name() -> None:
    names = Counter(path.stem for path in TESTS.rglob("*.py") if path.stem not in ("conftest", "__init__"))
    assert names.total() > 100
    assert [name for name, count in names.items() if count > 1] == []
