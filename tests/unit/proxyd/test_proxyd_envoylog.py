"""Envoy's lines become ours, with their level, and the file does not grow for ever."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from artemon.log import Log
from proxyd import envoylog
from proxyd.envoylog import EnvoyLog, emit


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        pytest.param("warning config drained", logging.WARNING, "drained", id="warning"),
        pytest.param("critical main cannot bind", logging.ERROR, "cannot bind", id="critical"),
        pytest.param("error main a  b", logging.ERROR, "a  b", id="spaces-in-the-text"),
        pytest.param('{"path": "/"}', logging.INFO, '{"path": "/"}', id="access-log"),
        pytest.param("Caught Segmentation fault", logging.INFO, "Caught Segmentation fault", id="crash"),
    ],
)
def test_levels(line: str, level: int, text: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    emit(line, Log("envoy"))
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(level, text)]


def test_only_whole_new_lines_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "envoy.log"
    file.write_text("info main of an earlier proxyd\n")
    log = EnvoyLog(file, Log("envoy"))
    with file.open("a") as out:
        out.write("info main one\ninfo main t")
    assert log.read()
    with file.open("a") as out:
        out.write("wo\n")
    assert log.read()
    assert not log.read()
    assert [record.getMessage() for record in caplog.records] == ["one", "two"]


def test_a_large_file_is_emptied_when_read(tmp_path: Path) -> None:
    file = tmp_path / "envoy.log"
    log = EnvoyLog(file, Log("envoy"))
    file.write_bytes(b"info main x\n" * (envoylog.LIMIT // 10))
    while log.read():
        pass
    assert file.stat().st_size == 0
