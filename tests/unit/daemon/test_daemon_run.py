"""A daemon as a process: it answers, tells what it waits for, stops when told, fails with one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
from artemon.daemon.run import daemon
from artemon.daemon.settings import Settings
from artemon.errors import ArtemonError

async def app(settings, context):
    "A daemon for tests."
    if settings.node == "refuses":
        raise ArtemonError("the registry does not answer")
    if settings.node == "breaks":
        raise KeyError("unforeseen")
    context.health.expect("registry", "the first full sync")
    await context.reload.wait()
    context.health.meet("registry")
    await context.stop.wait()

daemon("testd", Settings, app)()
"""


def start(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    program = tmp_path / "testd.py"
    program.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(program), "--log-format", "json", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environ},
    )


def ask(address: str, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_tells_what_it_waits_for_and_stops_when_told(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stderr is not None
        address = json.loads(process.stderr.readline())["http"]
        assert ask(address, "/healthz") == (200, "ok\n")
        status, body = ask(address, "/readyz")
        assert (status, json.loads(body)["waiting"]) == (503, {"registry": "the first full sync"})
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while ask(address, "/readyz")[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ask(address, "/readyz")[0] == 200
        assert "process_resident_memory_bytes" in ask(address, "/metrics")[1]
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        pytest.param("refuses", "the registry does not answer", id="known"),
        pytest.param("breaks", "KeyError('unforeseen')", id="unforeseen"),
    ],
)
def test_a_failure_is_one_event_and_status_1(tmp_path: Path, node: str, reason: str) -> None:
    with start(tmp_path, "--node", node) as process:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 1
        assert json.loads(errors.splitlines()[-1])["reason"] == reason


def test_a_port_in_use_is_one_event(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with start(tmp_path, "--http", address) as process:
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert (
        json.loads(errors.splitlines()[-1])["reason"] == f"cannot listen on {address}: Address already in use"
    )


def test_wrong_settings_end_with_status_2_and_check_config_with_0(tmp_path: Path) -> None:
    with start(tmp_path, "--log-level", "loud", "--check-config") as process:
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, "log_level" in errors, "Traceback" in errors) == (2, True, False)
    with start(tmp_path, "--check-config") as process:
        assert process.wait(20) == 0


def test_systemd_is_told_when_it_is_ready(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10)
        with start(tmp_path, NOTIFY_SOCKET=str(path), WATCHDOG_USEC="100000") as process:
            assert process.stderr is not None
            process.stderr.readline()
            process.send_signal(signal.SIGHUP)
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            process.terminate()


def test_systemd_hears_of_one_that_was_started_anew_before_it_is_ready(tmp_path: Path) -> None:
    """systemd goes on watching while it loads."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(60)
        told = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "100000", "ARTEMON_ANEW": "1"}
        with start(tmp_path, **told) as process:
            assert manager.recv(100) == b"WATCHDOG=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            process.send_signal(signal.SIGHUP)
            while manager.recv(100) != b"READY=1":
                pass
            process.terminate()
