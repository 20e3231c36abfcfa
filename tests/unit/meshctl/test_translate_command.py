"""`meshctl translate`: what it prints, and what it says instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshctl.__main__ import main

SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.default.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 1.1.1.1, serviceAccount: web}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "service.yaml").write_text(SERVICE)
    (tmp_path / "proxy.yaml").write_text("type: sidecar\nnamespace: default\n")
    (tmp_path / "certs").mkdir()
    for name in ("cert-chain.pem", "key.pem", "root-cert.pem"):
        (tmp_path / "certs" / name).write_text(name)
    return tmp_path


def run(folder: Path, *more: str, files: str = "mesh") -> int:
    arguments = ["translate", "-f", str(folder / files), "--proxy", str(folder / "proxy.yaml"), *more]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


def printed(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    assert run(folder, *more) == 0
    return json.loads(capsys.readouterr().out)


def test_resources(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(folder, capsys)
    assert list(found) == ["clusters", "endpoints", "listeners", "routes", "secrets"]
    assert {one["name"] for one in found["listeners"]} == {"virtualInbound", "virtualOutbound", "0.0.0.0_80"}
    assert [one["name"] for one in found["routes"]] == ["80"]
    assert found["secrets"] == []


def test_bootstrap_has_everything_inside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = printed(folder, capsys, "--format", "bootstrap", "--certs", str(folder / "certs"))
    assert {one["name"] for one in made["staticResources"]["secrets"]} == {"default", "ROOTCA"}
    text = json.dumps(made)
    assert not any(word in text for word in ('"rds"', '"sdsConfig"', '"edsConfig"', '"ads"'))


def test_mesh_config_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    found = printed(folder, capsys, "--mesh-config", str(folder / "config.yaml"))
    assert found["routes"][0]["virtualHosts"][-1]["name"] == "block_all"


@pytest.mark.parametrize(
    ("file", "text", "more", "words"),
    [
        pytest.param("mesh/bad.yaml", "a: [", (), "bad.yaml", id="not-yaml"),
        pytest.param(
            "mesh/bad.yaml", SERVICE.replace("hosts", "hostz"), (), "spec.hostz", id="unknown-field"
        ),
        pytest.param("proxy.yaml", "type: balloon", (), "sidecar or router", id="proxy"),
        pytest.param("proxy.yaml", "", (), "must hold one proxy", id="no-proxy"),
        pytest.param("proxy.yaml", "{}", ("--format", "bootstrap"), "--certs", id="no-certificates"),
    ],
)
def test_problems_are_named_in_one_line_each(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, more: tuple[str, ...], words: str
) -> None:
    (folder / file).write_text(text)
    assert run(folder, *more) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_a_missing_file_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, files="nothing.yaml") == 1
    assert "nothing.yaml: cannot be read: No such file or directory" in capsys.readouterr().err
