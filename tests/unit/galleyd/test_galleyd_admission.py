"""The door: whatever comes is admitted or refused with reasons, and what is admitted is admitted again."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from galley_api import virtual_service
from hypothesis import given
from hypothesis import strategies as st

from artemon.model.kinds import KINDS, VIRTUAL_SERVICE
from artemon.model.resource import Kind
from artemon.validate import problems, untranslated
from galleyd.admission import Admission
from galleyd.objects import Ref
from galleyd.status import ApiError

DOOR = Admission((problems, untranslated))
REF = Ref(VIRTUAL_SERVICE, "shop", "reviews")
FIELDS = ["hosts", "http", "route", "destination", "host", "weight", "timeout", "match", "spec", "name", "x"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.slow
@given(st.sampled_from(KINDS), JSON, JSON, st.sampled_from(["Strict", "Warn", "Ignore"]))
def test_whatever_comes_is_admitted_or_refused_with_reasons(
    kind: Kind, spec: Any, labels: Any, validation: str
) -> None:
    ref = Ref(kind, "shop", "a")
    sent = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "a", "labels": labels}}
    sent["spec"] = spec
    before = copy.deepcopy(sent)
    try:
        admitted, _ = DOOR.admit(ref, sent, validation)
    except ApiError as refusal:
        verdict: tuple[int, bool] = (refusal.code, bool(refusal.causes))
    else:
        again, _ = DOOR.admit(ref, admitted, "Strict")
        verdict = (200 if again == admitted else 500, True)
    assert verdict in {(200, True), (400, True), (422, True)}
    assert sent == before


@pytest.mark.parametrize(
    ("meta", "kept", "warned"),
    [
        pytest.param({"labels": {}, "annotations": None}, {}, [], id="empty-is-left-out"),
        pytest.param({"uid": "x", "generation": 9, "managedFields": [1]}, {}, [], id="ours-is-ours"),
        pytest.param({"finalizers": ["a"]}, {}, ["metadata.finalizers"], id="finalizers"),
        pytest.param({"labels": {"a": "b"}}, {"labels": {"a": "b"}}, [], id="labels"),
    ],
)
def test_what_becomes_of_metadata(meta: dict[str, Any], kept: dict[str, Any], warned: list[str]) -> None:
    admitted, warnings = DOOR.admit(REF, virtual_service(**meta), "Strict")
    assert admitted["metadata"] == {"name": "reviews", "namespace": "shop", **kept}
    assert [warning.path for warning in warnings] == warned


def test_unknown_fields_are_refused_with_the_other_reasons() -> None:
    sent = virtual_service(timeout="never")
    sent["spec"]["http"][0]["tmeout"] = "5s"
    with pytest.raises(ApiError) as refusal:
        DOOR.admit(REF, sent, "Strict")
    assert refusal.value.code == 422
    assert {cause.field for cause in refusal.value.causes} == {"spec.http[0].tmeout", "spec.http[0].timeout"}


def test_an_unknown_field_is_pruned_where_it_is_and_nowhere_else() -> None:
    sent = virtual_service()
    sent["spec"]["http"][0]["x"] = {"timeout": 1}
    admitted, warnings = DOOR.admit(REF, sent, "Warn")
    assert admitted["spec"] == virtual_service()["spec"]
    assert [warning.path for warning in warnings] == ["spec.http[0].x"]
