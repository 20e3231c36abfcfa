"""docs/tasks/authorization.md does what it says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from task_page import run_page

pytestmark = pytest.mark.slow


def test_the_page(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run_page("authorization.md", tmp_path, {**os.environ, "PATH": path})
