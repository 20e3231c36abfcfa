"""What Istio's own tests render for containers is understood by `pilot-agent`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from corpus import CORPUS

from proxyd.pod.commands import agent

FILE = CORPUS / "injection.json"
IDENTITY = {"POD_NAME": "p", "POD_NAMESPACE": "n", "INSTANCE_IP": "10.0.0.1"}
OWN_WORDS = [["-c", "my-config.yaml"]]
"""Arguments that a pod of the corpus gives its proxy itself."""


def containers() -> Iterator[dict[str, Any]]:
    for case in json.loads(FILE.read_text()) if FILE.exists() else ():
        for fact in case["facts"] or ():
            for kind in ("initContainers_added", "containers_added"):
                yield from (fact.get(kind) or {}).values()


@pytest.mark.skipif(not FILE.exists(), reason="the corpus is not there")
def test_every_rendered_container_is_one_that_runs() -> None:
    seen = 0
    for made in containers():
        words = made.get("args")
        if made["name"] not in {"istio-init", "istio-validation", "istio-proxy"} or words in [
            None,
            *OWN_WORDS,
        ]:
            continue
        if made["name"] == "istio-proxy":
            told = {
                one["name"]: one.get("value", "") for one in made.get("env", ()) if "valueFrom" not in one
            }
            done = CliRunner().invoke(agent, [*words, "--print-config"], env=told | IDENTITY)
        else:
            words = [one for one in words if one != "--run-validation"]
            done = CliRunner().invoke(agent, [*words, "--skip-rule-apply"])
        assert done.exit_code == 0, (words, done.output)
        seen += 1
    assert seen > 50
