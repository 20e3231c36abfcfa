"""Where cases with expected outcomes lie, for the tests that take them when they are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("ARTEMON_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")
ABSENT = [pytest.mark.optional, pytest.mark.skip(reason=f"{CORPUS} is not there")]
"""Marks of what stands where cases would be."""
