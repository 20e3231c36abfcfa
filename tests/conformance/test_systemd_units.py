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
PAGE = Path(__file__).parents[2] / "docs" / "operate" / "systemd.md"
MEASURED = "252"
"""The version of systemd that the page's figures are of."""
_FIGURE = re.compile(r"^\| `(artemon-[^`]+)`(?: with `([^`]+)`)? \| (\d\.\d) \|$", re.MULTILINE)
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


FIGURES = [(unit, more, figure) for unit, more, figure in _FIGURE.findall(PAGE.read_text())]


def test_the_page_has_every_unit() -> None:
    assert [unit for unit, more, _ in FIGURES if not more] == [one.name for one in UNITS]


@pytest.mark.parametrize(("unit", "more", "figure"), FIGURES, ids=[" ".join(one[:2]) for one in FIGURES])
def test_the_page_says_how_much_units_may_do(unit: str, more: str, figure: str, tmp_path: Path) -> None:
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True)
    if version.stdout.split()[1] != MEASURED:
        pytest.skip(f"needs systemd {MEASURED}, whose figures the page has")
    folder = UNITS[0].parent
    text = (folder / unit).read_text()
    if more:
        given = [one for one in (folder / more).read_text().splitlines() if "=" in one]
        text = text.replace("[Install]", "\n".join(["[Service]", *given, "[Install]"]))
    seen = tmp_path / unit
    seen.write_text(text)
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(seen)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: (\d\.\d)", judged.stdout)
    assert found, judged.stderr
    assert found[1] == figure
