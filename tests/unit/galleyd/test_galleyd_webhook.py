"""galleyd asked by a cluster's API server: the verdicts of `meshctl validate`, without a token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from corpus import CORPUS
from galley_api import Api, virtual_service

from artemon.validate import Context
from meshctl.validation import validate_text


def review(obj: Any, operation: str = "CREATE") -> dict[str, Any]:
    request = {"uid": "u1", "operation": operation, "namespace": "shop", "object": obj}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


async def verdict(api: Api, body: Any) -> dict[str, Any]:
    """Asked without credentials, as the API server does."""
    async with api.client.post("/validate", json=body) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = (await answer.json())["response"]
        return found


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
async def test_a_good_object_is_admitted(api: Api, operation: str) -> None:
    assert await verdict(api, review(virtual_service(), operation)) == {"uid": "u1", "allowed": True}


async def test_every_problem_is_told(api: Api) -> None:
    wrong = virtual_service(timeout="0.1ms")
    wrong["spec"]["http"][0]["retries"] = {"attempts": -1}
    found = await verdict(api, review(wrong))
    assert found["allowed"] is False
    message = found["status"]["message"]
    assert "VirtualService/shop/reviews: spec.http[0].timeout: must be at least 1ms" in message
    assert "spec.http[0].retries.attempts" in message


async def test_unknown_fields_are_refused_as_by_validate(api: Api) -> None:
    wrong = virtual_service()
    wrong["spec"]["hostz"] = ["x"]
    assert "spec.hostz: unknown field" in (await verdict(api, review(wrong)))["status"]["message"]


async def test_a_deletion_is_let_through(api: Api) -> None:
    assert (await verdict(api, review(None, "DELETE")))["allowed"] is True


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"kind": "AdmissionReview"}'])
async def test_what_is_no_review_is_a_bad_request(api: Api, body: bytes) -> None:
    async with api.client.post("/validate", data=body) as answer:
        assert answer.status == 400


async def test_nothing_else_is_open(api: Api) -> None:
    async with api.client.post("/validate/x", json=review(virtual_service())) as answer:
        assert answer.status == 401


@pytest.mark.skipif(not CORPUS.exists(), reason=f"no corpus at {CORPUS} (set ARTEMON_CORPUS)")
async def test_the_verdicts_are_those_of_meshctl_validate(api: Api) -> None:
    """Over Istio's own cases: what is admitted, and of what is not a reason that `validate` gives too (which
    goes on to others where the name itself is wrong, as an API server never asks)."""
    differ, cases = [], []
    for name in ("schema.json", "validation.json"):
        cases += json.loads((CORPUS / name).read_text())
    for case in cases:
        report = validate_text(json.dumps(case["object"]), "case", namespace="shop", context=Context())
        wrong = [one.message for one in report.findings if one.level == "error"]
        found = await verdict(api, review(case["object"]))
        told = (found.get("status") or {}).get("message", "")
        shared = any(one in told for one in wrong) or not report.objects  # none: too large for a file
        if found["allowed"] is bool(wrong) or (wrong and not shared):
            differ.append((case["name"], wrong, found))
    assert len(cases) > 100
    assert differ == []
