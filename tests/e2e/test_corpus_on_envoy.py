"""What Istio's own test meshes are translated to is taken by a real Envoy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus import ABSENT, CORPUS
from real_envoy import complaint

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

FILES = ("simulation.json", "simulation-routes.json")


def cases() -> list[Any]:
    if not CORPUS.exists():
        return [pytest.param(None, marks=ABSENT)]
    found = [case for name in FILES for case in json.loads((CORPUS / name).read_text())]
    return [pytest.param(case, id=case["id"]) for case in found if not case.get("kubeConfig")]


@pytest.mark.envoy
@pytest.mark.parametrize("case", cases())
def test_envoy_takes_it(case: dict[str, Any], tmp_path: Path) -> None:
    mesh = MeshConfig.model_validate(case.get("meshConfig") or {})
    view = snapshot_of(load_yaml(case["config"]), mesh).view(read_proxy(case["proxy"]))
    assert complaint(view, tmp_path) == ""
