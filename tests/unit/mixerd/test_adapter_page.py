"""The adapter of docs/extend/adapters.md, installed as a package and used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path("docs/extend/adapters.md")
USE = """
import asyncio, pathlib, sys
import yaml
from prometheus_client import CollectorRegistry
from artemon.adapters import Place, Row
from artemon.adapters.rulebook import rulebook
from artemon.log import Log
from artemon.model.decode import decode

book = rulebook([decode(yaml.safe_load(sys.stdin.read()))], root="istio-system")
assert not book.problems, book.problems
config = book.handlers["istio-system/tally"]
folder = pathlib.Path(sys.argv[1])
handler = config.adapter.open(config.params, Place("x/y", Log("x"), CollectorRegistry(), folder, lambda: 0.0))
asyncio.run(handler.report([Row("shop/hits", "metric", {"value": 1})] * 2))
print((folder / "counts").read_text(), end="")
"""


def block(kind: str) -> str:
    return next(iter(re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)))


def test_it_is_thirty_lines() -> None:
    assert len([line for line in block("python").splitlines() if line.strip()]) <= 30


@pytest.mark.slow
def test_the_adapter_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "tally.py").write_text(block("python"))
    points = tomllib.loads(block("toml"))["project"]["entry-points"]["artemon.adapters"]
    info = tmp_path / "tally-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tally\nVersion: 1\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[artemon.adapters]", *lines]))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.getcwd()}"}

    def run(*command: str, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    used = run("-c", USE, str(tmp_path), text=block("yaml"))
    assert (used.stdout, used.stderr) == ("shop/hits 2\n", "")
    validate = ("-m", "meshctl", "validate", "-f", "-")
    assert run(*validate, text=block("yaml")).returncode == 0
    refused = run(*validate, text=block("yaml").replace("counts", "a/b"))
    assert refused.returncode == 1
    assert "spec.params.file: must be a name without folders" in refused.stdout + refused.stderr
