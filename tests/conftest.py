"""Lanes: what a machine lacks is skipped and said; ARTEMON_MANDATORY names lanes whose skip is a failure."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# No deadline: how long an example takes depends on the machine. The same examples in every run, so that a
# commit passes always or never; ARTEMON_RANDOM=1 (`make pods` sets it) looks for new ones.
settings.register_profile("artemon", deadline=None, derandomize="ARTEMON_RANDOM" not in os.environ)
settings.load_profile("artemon")

_SKIPPED = pytest.StashKey[list[str]]()


def mandatory() -> set[str]:
    """Markers that may not be skipped in this run, from ARTEMON_MANDATORY (comma-separated)."""
    return {lane for lane in os.environ.get("ARTEMON_MANDATORY", "").split(",") if lane}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SKIPPED] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        marks = {mark.name for mark in item.iter_markers()}
        lanes = mandatory() & marks
        if lanes and "optional" not in marks:
            report.outcome = "failed"
            report.longrepr = f"the lane {', '.join(sorted(lanes))} is mandatory here, but: {report.longrepr}"
    return report
