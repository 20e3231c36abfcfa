"""Settings: what wins over what, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from artemon.daemon.settings import Settings, load
from artemon.errors import Refused


class Sample(Settings):
    listen: str = Field("127.0.0.1:1", description="Where.")
    peers: tuple[str, ...] = Field((), description="Who.")
    labels: dict[str, str] = Field(default_factory=dict, description="What.")
    size: int = Field(1, description="How much.")


def loaded(tmp_path: Path, *, file: str = "", environ: dict[str, str] | None = None, **flags: Any) -> Sample:
    path = tmp_path / "sample.yaml"
    path.write_text(file)
    return load(Sample, name="sample", file=str(path), environ=environ or {}, flags=flags)


def test_flags_win_over_environment_and_environment_over_file(tmp_path: Path) -> None:
    environ = {"ARTEMON_SAMPLE_LISTEN": "env:2", "ARTEMON_SAMPLE_SIZE": "2"}
    settings = loaded(tmp_path, file="listen: file:1\nsize: 3\npeers: [a]", environ=environ, size="4")
    assert (settings.listen, settings.size, settings.peers) == ("env:2", 4, ("a",))


@pytest.mark.parametrize(
    ("flags", "field", "expected"),
    [
        pytest.param({"peers": "a, b"}, "peers", ("a", "b"), id="commas"),
        pytest.param({"peers": '["a,b"]'}, "peers", ("a,b",), id="json-list"),
        pytest.param({"labels": "app=x,version=v1"}, "labels", {"app": "x", "version": "v1"}, id="pairs"),
        pytest.param({"labels": '{"app": "a=b"}'}, "labels", {"app": "a=b"}, id="json-map"),
        pytest.param({"peers": None}, "peers", (), id="absent-flag"),
    ],
)
def test_lists_and_maps_in_flags(tmp_path: Path, flags: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(loaded(tmp_path, **flags), field) == expected


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        pytest.param("lisen: x", "lisen: is not a known setting", id="unknown-key"),
        pytest.param("size: many", "size: Input should be a valid integer", id="wrong-type"),
        pytest.param("- a", "must be a mapping of settings", id="list"),
        pytest.param("a: [", "cannot be read", id="broken-yaml"),
    ],
)
def test_wrong_settings_name_file_and_key(tmp_path: Path, file: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        loaded(tmp_path, file=file)
    assert reason in str(refused.value)
    assert "sample.yaml" in str(refused.value)


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        loaded(tmp_path, file="size: x\nlisen: y\nlog_level: loud")
    assert {problem.path for problem in refused.value.problems} == {"size", "lisen", "log_level"}


def test_a_missing_file_is_one_line() -> None:
    with pytest.raises(Refused, match=r"absent\.yaml: cannot be read"):
        load(Sample, name="sample", file="/nonexistent/absent.yaml", environ={}, flags={})
