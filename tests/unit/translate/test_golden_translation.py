"""What is sent to proxies, as text that can be read and compared; `make golden` rewrites it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import MessageToJson
from quick_yaml import read_yaml
from real_envoy import complaint
from translate_mesh import view_of
from worlds_for_golden import WORLDS

from artemon.translate import messages
from artemon.xds.types import SHORT

GOLDEN = Path(__file__).parents[2] / "golden" / "translate"


@pytest.mark.parametrize("name", WORLDS)
def test_golden(name: str) -> None:
    made = {
        SHORT[url]: {one: json.loads(MessageToJson(message)) for one, message in named.items()}
        for url, named in messages(view_of(*WORLDS[name])).items()
    }
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("ARTEMON_GOLDEN"):
        path.write_text(yaml.safe_dump(made, sort_keys=True, width=110))
    assert made == read_yaml(path.read_text()), f"{path.name} differs; run make golden and read the diff"


@pytest.mark.envoy
@pytest.mark.parametrize("name", WORLDS)
def test_envoy_takes_it(name: str, tmp_path: Path) -> None:
    assert complaint(view_of(*WORLDS[name]), tmp_path) == ""
