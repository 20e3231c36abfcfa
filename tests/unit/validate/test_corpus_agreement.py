"""Istio's own cases (`schema.json`, `validation.json`): the same verdicts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from corpus import CORPUS

from artemon.errors import Problem, Refused
from artemon.model.decode import decode
from artemon.translate.envoy_values import problems_of
from artemon.validate import Context, problems

FILES = ("schema.json", "validation.json")


def cases() -> list[Any]:
    found = []
    for name in FILES:
        path = CORPUS / name
        if not path.exists():
            return []
        for index, case in enumerate(json.loads(path.read_text())):
            found.append(pytest.param(case, id=f"{name}-{index}-{case['object']['kind']}-{case['name']}"))
    return found


def verdict(obj: dict[str, Any]) -> list[Problem]:
    try:
        return problems(decode(obj), Context(parse_envoy=problems_of))
    except Refused as refused:
        return list(refused.problems)


@pytest.mark.skipif(not CORPUS.exists(), reason=f"no corpus at {CORPUS} (set ARTEMON_CORPUS)")
@pytest.mark.parametrize("case", cases())
def test_same_verdict_as_istio(case: dict[str, Any]) -> None:
    found = verdict(case["object"])
    errors = [str(problem) for problem in found if problem.level == "error"]
    assert (not errors) is case["valid"], errors
    if case.get("warning"):
        assert any(problem.level == "warning" for problem in found)
