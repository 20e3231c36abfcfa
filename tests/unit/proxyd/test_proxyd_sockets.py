"""Sockets in a run directory whose path is longer than that of a socket may be."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import aiohttp
import pytest
import yaml
from click.testing import CliRunner

from artemon.log import Log
from artemon.model.service import Health
from proxyd.admin import Admin
from proxyd.control import SOCKET, control
from proxyd.draining import drain
from proxyd.wellbeing import Wellbeing

MOST_BYTES = 107


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    path = tmp_path / ("long" * 30)
    path.mkdir(mode=0o700)
    assert len(str(path / SOCKET)) > MOST_BYTES
    return path


async def test_an_operator_drains_by_a_socket_with_a_long_path(run_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "proxyd.yaml"
    config.write_text(yaml.safe_dump({"run_dir": str(run_dir)}))
    told: list[Health] = []
    wellbeing = Wellbeing(told.append, Log("test"))
    async with (
        aiohttp.ClientSession() as http,
        control(run_dir, wellbeing, Admin(http, "http://127.0.0.1:1")),
    ):
        assert stat.S_IMODE((run_dir / SOCKET).stat().st_mode) == 0o600
        for more, health in ((["--seconds", "0"], Health.DRAINING), (["--undo"], Health.HEALTHY)):
            done = await asyncio.to_thread(CliRunner().invoke, drain, ["--config", str(config), *more])
            assert done.exit_code == 0, done.output
            assert done.output == f"{health.value}; requests under way: None\n"
            assert told[-1] is health


def test_nobody_answers(run_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "proxyd.yaml"
    config.write_text(yaml.safe_dump({"run_dir": str(run_dir)}))
    done = CliRunner().invoke(drain, ["--config", str(config)])
    assert done.exit_code == 1
    assert f"proxyd does not answer at {run_dir / SOCKET}" in done.output
