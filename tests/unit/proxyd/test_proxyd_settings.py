"""Settings of proxyd: everything that is wrong, at once, with its key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from artemon.daemon.settings import load
from artemon.errors import Refused
from proxyd.settings import ProxydSettings


def problems(**flags: object) -> list[str]:
    with pytest.raises(Refused) as caught:
        load(ProxydSettings, name="proxyd", file=None, environ={}, flags=flags)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        pytest.param({"ip_address": "here"}, 'ip_address: "here" is not an IP address', id="address"),
        pytest.param({"ip_address": ""}, 'ip_address: "" is not an IP address', id="no-address"),
        pytest.param({"pilotd": "mesh"}, 'pilotd: "mesh" is not an address', id="pilotd"),
        pytest.param({"type": "waypoint"}, "type: Input should be 'sidecar' or 'router'", id="type"),
        pytest.param(
            {"ports": '[{"name": "a", "number": 80, "protocol": "SMTP"}]'},
            'ports.0.protocol: "SMTP" is not a protocol',
            id="protocol",
        ),
        pytest.param(
            {"ports": '[{"name": "a", "number": 80}, {"name": "b", "number": 80}]'},
            "each number may be given once",
            id="port-twice",
        ),
        pytest.param({"service_account": "a/b"}, "service_account", id="identity"),
    ],
)
def test_wrong_settings(flags: dict[str, object], reason: str) -> None:
    (problem,) = problems(**flags)
    assert reason in problem


def test_all_at_once() -> None:
    assert len(problems(weight="0", ip_address="x", pilotd="y")) == 3


def test_ports_left_out_are_those_of_the_service() -> None:
    settings = load(
        ProxydSettings,
        name="proxyd",
        file=None,
        environ={"ARTEMON_PROXYD_PORTS": '[{"name": "http", "number": 80, "protocol": "grpc"}]'},
        flags={"labels": "app=a,version=v1"},
    )
    assert settings.labels == {"app": "a", "version": "v1"}
    assert settings.ports[0].metadata(intercepts=False) == {
        "name": "http",
        "number": 80,
        "protocol": "GRPC",
        "listenPort": 80,
        "appPort": 80,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        pytest.param(["run", "--check-config"], 0, "", id="check"),
        pytest.param(["run", "--weight", "0"], 2, "weight", id="wrong"),
        pytest.param(["status", "--ip-address", "127.9.9.9"], 3, "does not answer", id="nobody-there"),
        pytest.param(["join", "http://x", "--token-file", "t"], 1, "is not a URL", id="join-in-plaintext"),
        pytest.param(["join", "x", "--token-file", "t"], 1, "--ca-pin", id="join-whom"),
        pytest.param(["run", "--envoy", "/none"], 1, "is not an executable file", id="no-envoy"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    arguments: list[str], status: int, says: str, tmp_path: Path
) -> None:
    rooms = ["--data-dir", str(tmp_path / "data"), "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "proxyd", *arguments, *rooms],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
