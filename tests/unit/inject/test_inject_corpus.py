"""Istio's own cases (`injection.json`), through the command line: the same facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from corpus import CORPUS
from injection_facts import facts_of

from artemon.model.yaml_text import parse
from meshctl.commands.inject import inject

FILE = CORPUS / "injection.json"

# What a case is about beside its object: told by its name and its facts, not by the corpus.
MESH: dict[str, Any] = {
    "format-duration": {"defaultConfig": {"drainDuration": "23s"}},
    "hello-tracing-disabled": {"defaultConfig": {"tracing": {}}},
    "hello-probes-localhost": {"inboundTrafficPolicy": {"mode": "LOCALHOST"}},
}
AMOUNTS = {
    "proxy-resources-null": {
        "limits": {"cpu": None, "memory": "500Mi"},
        "requests": {"cpu": None, "memory": "150Mi"},
    },
    "proxy-resources-mixed-null": {
        "limits": {"cpu": None, "memory": "500Mi"},
        "requests": {"cpu": "100m", "memory": None, "ephemeral-storage": "1Gi"},
    },
}


def cases() -> list[Any]:
    if not FILE.exists():
        return []
    found = json.loads(FILE.read_text())
    return [
        pytest.param(case, id=f"{index}-{case['suite']}-{case['id'].rpartition('/')[2] or 'refused'}")
        for index, case in enumerate(found)
    ]


def configuration(case: dict[str, Any]) -> dict[str, Any]:
    """The case's flags and suite as a file for --inject-config."""
    made: dict[str, Any] = {}
    for flag in case["flags"] or ():
        path, _, text = flag.partition("=")
        steps = path.split(".")
        place = made
        for step in steps[:-1]:
            place = place.setdefault(step, {})
        place[steps[-1]] = yaml.safe_load(text)
    name = case["id"].rpartition("/")[2].removesuffix(".yaml.injected")
    if case["suite"].startswith("old-kubelet"):
        made["kubernetesVersion"] = "1.28"
    elif "old-version" in name:
        made["nativeSidecars"] = False
    if name == "hello-multiple-image-secrets":
        made["values"] = {"global": {"imagePullSecrets": ["barSecret"]}}
    if name in AMOUNTS:
        made["values"] = {"global": {"proxy": {"resources": AMOUNTS[name]}}}
    return made


def run(case: dict[str, Any], folder: Path) -> Result:
    name = case["id"].rpartition("/")[2].removesuffix(".yaml.injected")
    files = {"in.yaml": case["input"], "config.yaml": yaml.safe_dump(configuration(case))}
    files["mesh.yaml"] = yaml.safe_dump(MESH.get(name, {}))
    for file, text in files.items():
        (folder / file).write_text(text)
    arguments = ["-f", str(folder / "in.yaml"), "--inject-config", str(folder / "config.yaml")]
    return CliRunner().invoke(inject, [*arguments, "--mesh-config", str(folder / "mesh.yaml")])


@pytest.mark.skipif(not FILE.exists(), reason=f"no corpus at {CORPUS} (set ARTEMON_CORPUS)")
@pytest.mark.parametrize("case", cases())
def test_same_facts_as_istio(case: dict[str, Any], tmp_path: Path) -> None:
    done = run(case, tmp_path)
    if case["facts"] is None:
        assert done.exit_code != 0
        assert 'annotations["traffic.sidecar.istio.io/includeInboundPorts"]: must be a port' in str(
            done.exception
        )
        return
    assert done.exit_code == 0, done.exception
    before = [document.value for document in parse(case["input"])]
    after = [document.value for document in parse(done.stdout)]
    assert len(before) == len(after)
    found = [facts for one, other in zip(before, after, strict=True) if (facts := facts_of(one, other))]
    assert [as_compared(one) for one in found] == [as_compared(one) for one in case["facts"]]


def as_compared(facts: dict[str, Any]) -> dict[str, Any]:
    """Istio notes what it did to a CronJob on its Job, where nothing reads it.

    Here the pod carries the note.
    """
    if not facts["object"].startswith("CronJob/"):
        return facts
    return {key: value for key, value in facts.items() if key not in {"annotations_added", "labels_added"}}
