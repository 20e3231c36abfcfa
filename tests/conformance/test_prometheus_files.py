"""deploy/observability, judged by Prometheus' own tool; rules and dashboard ask for metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from artemon.model.metric_fields import LABELS
from artemon.model.telemetry import METRICS

FILES = Path(__file__).parents[2] / "deploy" / "observability"


@pytest.mark.parametrize("command", ["rules rules.yml", "config prometheus.yml"])
def test_promtool_finds_nothing(command: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    for one in FILES.iterdir():
        shutil.copy(one, tmp_path)
    for secret in ("token", "root-cert.pem"):
        (tmp_path / secret).write_text("x")
    done = subprocess.run(
        [promtool, "check", *command.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_is_asked_for_is_counted() -> None:
    texts = [one.read_text() for one in FILES.iterdir()]
    asked = {name for text in texts for name in re.findall(r"\b(istio_[a-z_]+)\b", text)}
    counted = {*METRICS.values(), "istio_request_duration_milliseconds_bucket"}
    agents = {name for name in asked if name.startswith("istio_agent_")}
    assert asked - agents <= counted
    labels = {name for text in texts for name in re.findall(r"\b((?:source|destination)_[a-z_]+)\b", text)}
    assert labels <= set(LABELS)


def test_the_dashboard_is_one() -> None:
    board = json.loads((FILES / "grafana-services.json").read_text())
    identifiers = [one["id"] for one in board["panels"]]
    assert len(set(identifiers)) == len(identifiers) >= 6
