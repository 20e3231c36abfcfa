"""docs/tasks/egress-gateway.md, run as it stands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from task_page import run_page

pytestmark = pytest.mark.slow


def test_the_page(tmp_path: Path) -> None:
    commands = Path(sys.executable).parent
    run_page("egress-gateway.md", tmp_path, {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"})
