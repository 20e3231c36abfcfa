"""`meshctl contexts`: which mesh is meant, and that nothing else of the file is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from artemon.errors import ArtemonError
from meshctl.__main__ import main
from meshctl.context import find_target

FILE = {
    "current": "staging",
    "contexts": {
        "staging": {"server": "https://a:15014", "token": "a.token", "namespace": "shop"},
        "production": {"server": "https://b:15014", "certificate": "b.pem", "key": "b.key"},
    },
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("ARTEMON_CONTEXT", "ARTEMON_SERVER", "ARTEMON_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "artemon" / "config.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(FILE, sort_keys=False))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["contexts", *arguments])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_list(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[1] == ["*", "staging", "https://a:15014", "shop", "token"]
    assert lines[2] == ["production", "https://b:15014", "default", "certificate"]
    found = json.loads(run(capsys, "list", "-o", "json")[1])
    assert [(one["name"], one["current"]) for one in found] == [("staging", True), ("production", False)]


def test_use(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "use", "production")[0] == 0
    assert yaml.safe_load(file.read_text()) == {**FILE, "current": "production"}
    assert file.stat().st_mode & 0o077 == 0
    assert find_target(flags={}).access.server == "https://b:15014"


def test_use_says_what_wins(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTEMON_CONTEXT", "staging")
    assert "ARTEMON_CONTEXT" in run(capsys, "use", "production")[2]


def test_delete(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "delete", "staging")[0] == 0
    assert yaml.safe_load(file.read_text()) == {"contexts": {"production": FILE["contexts"]["production"]}}
    with pytest.raises(ArtemonError, match="no mesh is known"):
        find_target(flags={})


@pytest.mark.parametrize("command", ["use", "delete"])
def test_a_context_that_is_not_there(file: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, _, err = run(capsys, command, "elsewhere")
    assert code == 1
    assert 'there is no context "elsewhere" (known: staging, production)' in err
    assert yaml.safe_load(file.read_text()) == FILE


def test_a_broken_file_is_left_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("contexts: {a: {sever: x}}\n")
    code, _, err = run(capsys, "use", "a")
    assert code == 1
    assert "contexts.a.sever" in err
    assert "sever" in file.read_text()
