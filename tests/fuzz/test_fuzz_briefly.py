"""T04, T08: every parser of foreign bytes for a moment; `make fuzz` does it for long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from targets import TARGETS

CAMPAIGN = Path(__file__).parent / "campaign.py"
RUNS = 1000


def test_there_are_as_many_targets_as_promised() -> None:
    assert len(TARGETS) >= 15


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_taken(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


@pytest.mark.timeout(900)
def test_t04_nothing_unexpected_comes_out(tmp_path: Path) -> None:
    """A thousand inputs for each target, from the same seed every time."""
    pytest.importorskip("atheris", reason="no atheris for this Python: pip install atheris")
    command = [sys.executable, str(CAMPAIGN), "all", f"-runs={RUNS}", "-seed=1"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=800, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"findings: none in {len(TARGETS)} targets" in done.stderr
