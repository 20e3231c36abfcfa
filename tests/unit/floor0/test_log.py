"""Events are one line each, whatever is in their fields."""

from __future__ import annotations

import json
import logging

import pytest

from artemon import log


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = kept, level


@pytest.mark.parametrize(
    "value",
    [
        pytest.param('x\n{"level":"error"}', id="line-break"),
        pytest.param("\x1b[2J", id="terminal-escape"),
        pytest.param("\u202e", id="direction"),
        pytest.param("x" * 5000, id="long"),
    ],
)
@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.usefixtures("root_logger")
def test_a_field_cannot_forge_a_line(
    value: str, form: log.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    log.setup(form=form)
    log.Log("test").info("event", field=value)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert len(line) < 1500


@pytest.mark.usefixtures("root_logger")
def test_json_keeps_fields_and_their_types(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(form="json", level="warning")
    source = log.Log("test", node="a").bind(part=1)
    source.info("not shown")
    source.warning("shown", seconds=0.5, none=None)
    event = json.loads(capsys.readouterr().err)
    assert {key: event[key] for key in ("level", "logger", "event", "node", "part", "seconds", "none")} == {
        "level": "warning",
        "logger": "test",
        "event": "shown",
        "node": "a",
        "part": 1,
        "seconds": 0.5,
        "none": None,
    }
