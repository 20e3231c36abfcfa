"""Programs that ours start: none looks for its modules in the directory that somebody happens to be in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARTS = ("artemon", "citadeld", "galleyd", "injectord", "meshctl", "mixerd", "pilotd", "proxyd")
STARTS = re.compile(r"sys\.executable\b[^\n]*?-m\b")


@pytest.mark.parametrize("part", PARTS)
def test_modules_of_ours_are_started_with_a_safe_path(part: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {start}"
        for path in (ROOT / part).rglob("*.py")
        for start in STARTS.findall(path.read_text())
        if "-P" not in start
    ]
    assert not found


def test_a_safe_path_leaves_out_what_lies_around(tmp_path: Path) -> None:
    (tmp_path / "proxyd").mkdir()
    (tmp_path / "proxyd" / "__init__.py").write_text("raise SystemExit('of a stranger')")
    command = [sys.executable, "-P", "-c", "import proxyd; print(proxyd.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    assert str(tmp_path) not in done.stdout
