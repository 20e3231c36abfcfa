"""The supervisor keeps a plan running, adopts what its predecessor left, and stops exactly that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshctl.up.processes import Process, Program, load_processes, save, start_time

pytestmark = pytest.mark.slow


def program(tmp_path: Path, name: str, script: str) -> Program:
    return Program(name, "app", ("/bin/sh", "-c", script), str(tmp_path / f"{name}.log"))


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 15 s"
        time.sleep(0.02)


def running(tmp_path: Path) -> dict[str, Process]:
    return {p.name: p for p in load_processes(tmp_path / "state.json") if p.alive}


@pytest.fixture
def supervisors() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.terminate()
        process.wait(30)


def supervise(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "meshctl.up.supervisor", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stderr=subprocess.DEVNULL,
    )
    started.append(process)
    return process


def test_a_program_that_ends_is_started_again(
    tmp_path: Path, supervisors: list[subprocess.Popen[bytes]]
) -> None:
    save(tmp_path / "plan.json", [program(tmp_path, "a", "exec sleep 600")])
    supervise(tmp_path, supervisors)
    eventually(lambda: "a" in running(tmp_path))
    first = running(tmp_path)["a"]
    first.signal(signal.SIGKILL)
    eventually(lambda: running(tmp_path).get("a", first) != first)


def test_a_successor_adopts_and_stops_what_its_predecessor_started(
    tmp_path: Path, supervisors: list[subprocess.Popen[bytes]]
) -> None:
    save(tmp_path / "plan.json", [program(tmp_path, "a", "exec sleep 600")])
    predecessor = supervise(tmp_path, supervisors)
    eventually(lambda: "a" in running(tmp_path))
    kept = running(tmp_path)["a"]
    predecessor.kill()
    predecessor.wait(10)
    assert kept.alive
    successor = supervise(tmp_path, supervisors)
    eventually(lambda: running(tmp_path).get("supervisor", kept).pid == successor.pid)
    assert running(tmp_path)["a"] == kept
    successor.terminate()
    assert successor.wait(20) == 0
    assert not kept.alive


def test_a_changed_plan_starts_the_new_and_stops_the_removed(
    tmp_path: Path, supervisors: list[subprocess.Popen[bytes]]
) -> None:
    save(tmp_path / "plan.json", [program(tmp_path, "a", "exec sleep 600")])
    process = supervise(tmp_path, supervisors)
    eventually(lambda: "a" in running(tmp_path))
    save(tmp_path / "plan.json", [program(tmp_path, "b", "exec sleep 600")])
    process.send_signal(signal.SIGHUP)
    eventually(lambda: running(tmp_path).keys() == {"supervisor", "b"})


def test_a_process_is_known_by_when_it_started() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        ours = Process("a", "app", child.pid, start_time(child.pid))
        stranger = Process("a", "app", child.pid, ours.started - 1)
        assert (ours.alive, stranger.alive) == (True, False)
        stranger.signal(signal.SIGKILL)
        assert ours.alive
        child.kill()
