"""docs/tasks/ingress-tls.md does what it says, on the sample."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from real_envoy import envoy
from task_page import run_page

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(300)]


@pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")), reason="openssl or curl is not here"
)
def test_the_page(tmp_path: Path) -> None:
    envoy()
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "meshctl").write_text(f'#!/bin/sh\nexec {sys.executable} -m meshctl "$@"\n')
    (tools / "meshctl").chmod(0o755)
    path = {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": os.getcwd()}
    environment = {**os.environ, **path, "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    place = ["--dir", str(tmp_path / "mesh")]
    command = [str(tools / "meshctl")]
    up = [*command, "up", "--demo", *place, "--network", "127.0.84.0/24"]
    try:
        subprocess.run(up, env=environment, check=True, capture_output=True, timeout=200)
        run_page(
            "ingress-tls.md",
            tmp_path,
            environment,
            adapted=lambda text: text.replace("127.0.1.", "127.0.84."),
        )
    finally:
        subprocess.run(
            [*command, "down", *place], env=environment, check=False, capture_output=True, timeout=60
        )
