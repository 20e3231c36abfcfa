"""What systemd says of the units, without running them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))
MOST = {"artemon-intercept": 3.0}
"""Highest exposure (`systemd-analyze security`), where more than 2.0 is needed: it changes rules."""
_PROGRAM = re.compile(r"^(Exec\w+=)\S+", re.MULTILINE)
pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_are_understood_and_may_do_little(unit: Path, tmp_path: Path) -> None:
    seen = tmp_path / unit.name
    text = "\n".join(one for one in unit.read_text().splitlines() if not one.startswith("Documentation="))
    seen.write_text(_PROGRAM.sub(r"\1/bin/true", text))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(seen)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (verified.returncode, verified.stderr) == (0, "")
    most = round(MOST.get(unit.stem, 2.0) * 10)
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout[-300:]
