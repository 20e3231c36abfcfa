"""Patches on plain values: RFC 7386 and RFC 6902, with their own examples."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galleyd.patch import json_patch, merge
from galleyd.status import ApiError


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(target)
    assert merge(target, patch) == result
    assert target == before


@pytest.mark.parametrize(
    ("target", "operation", "result"),
    [
        pytest.param({"a": 1}, {"op": "add", "path": "/b", "value": 2}, {"a": 1, "b": 2}, id="add"),
        pytest.param({"a": [1, 3]}, {"op": "add", "path": "/a/1", "value": 2}, {"a": [1, 2, 3]}, id="insert"),
        pytest.param({"a": [1]}, {"op": "add", "path": "/a/-", "value": 2}, {"a": [1, 2]}, id="append"),
        pytest.param({"a": 1}, {"op": "remove", "path": "/a"}, {}, id="remove"),
        pytest.param({"a": [1, 2]}, {"op": "remove", "path": "/a/0"}, {"a": [2]}, id="remove-element"),
        pytest.param({"a": 1}, {"op": "replace", "path": "/a", "value": 2}, {"a": 2}, id="replace"),
        pytest.param({"a": 1}, {"op": "replace", "path": "", "value": 2}, 2, id="replace-all"),
        pytest.param({"a": 1}, {"op": "move", "from": "/a", "path": "/b"}, {"b": 1}, id="move"),
        pytest.param({"a": [1]}, {"op": "copy", "from": "/a/0", "path": "/b"}, {"a": [1], "b": 1}, id="copy"),
        pytest.param({"a/b": 1}, {"op": "test", "path": "/a~1b", "value": 1}, {"a/b": 1}, id="escaped"),
    ],
)
def test_json_patch(target: Any, operation: dict[str, Any], result: Any) -> None:
    before = copy.deepcopy(target)
    assert json_patch(target, [operation]) == result
    assert target == before


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        pytest.param({}, 400, id="no-list"),
        pytest.param([{"op": "jump", "path": "/a"}], 400, id="unknown-op"),
        pytest.param([{"op": ["add"], "path": "/a"}], 400, id="list-as-op"),
        pytest.param([{"op": "remove", "path": ""}], 422, id="remove-all"),
        pytest.param([{"op": "move", "from": "", "path": "/a"}], 422, id="move-all"),
        pytest.param([{"op": "add", "path": "/b"}], 422, id="no-value"),
        pytest.param([{"op": "remove", "path": "/b"}], 422, id="absent"),
        pytest.param([{"op": "add", "path": "b", "value": 1}], 422, id="no-pointer"),
        pytest.param([{"op": "add", "path": "/l/3", "value": 1}], 422, id="beyond-the-end"),
        pytest.param([{"op": "add", "path": "/l/01", "value": 1}], 422, id="leading-zero"),
        pytest.param([{"op": "replace", "path": "/l/-", "value": 1}], 422, id="replace-end"),
        pytest.param([{"op": "move", "from": "/o", "path": "/o/p"}], 422, id="into-itself"),
        pytest.param([{"op": "test", "path": "/t", "value": 1}], 422, id="true-is-not-one"),
        pytest.param([{"op": "add", "path": 5, "value": 1}], 422, id="number-as-path"),
        pytest.param([{"op": "move", "from": 5, "path": "/a"}], 422, id="number-as-from"),
    ],
)
def test_json_patch_is_refused(operations: Any, code: int) -> None:
    with pytest.raises(ApiError) as refusal:
        json_patch({"l": [1, 2], "o": {}, "t": True}, operations)
    assert refusal.value.code == code


@pytest.mark.parametrize("start", ["x", "x" * 1000], ids=["deep", "large"])
def test_copies_of_copies_end(start: str) -> None:
    operations = [{"op": "copy", "from": "/a", "path": f"/a/{number}"} for number in range(40)]
    with pytest.raises(ApiError) as refusal:
        json_patch({"a": {"b": start}}, operations)
    assert refusal.value.code in {413, 422}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)
OPERATION = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
    optional={
        "path": st.sampled_from(["", "/", "/a", "/a/0", "/a/-", "a", "/~2"]) | VALUES,
        "from": st.sampled_from(["", "/a", "/a/0"]) | VALUES,
        "value": VALUES,
    },
)


@pytest.mark.slow
@given(VALUES, st.lists(OPERATION, max_size=4))
def test_whatever_a_client_sends_is_applied_or_refused(target: Any, operations: Any) -> None:
    before = copy.deepcopy(target)
    with suppress(ApiError):
        json_patch(target, operations)
    assert target == before
