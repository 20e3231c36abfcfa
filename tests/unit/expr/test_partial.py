"""What is known of a condition before all attributes are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.expr import EvaluationError, compile_expression, read_attributes, read_manifest
from artemon.expr.partial import could_hold

MANIFEST = read_manifest([{"a": "STRING", "b": "STRING", "p": "BOOL", "q": "BOOL", "m": "STRING_MAP"}])


@pytest.mark.parametrize(
    ("source", "known", "could"),
    [
        ('a == "x"', {}, True),
        ('a == "x"', {"a": "x"}, True),
        ('a == "x"', {"a": "y"}, False),
        ('a == "x" && b == "y"', {"a": "y"}, False),
        ('a == "x" || b == "y"', {"a": "y"}, True),
        ('a == "x" || a == "z"', {"a": "y"}, False),
        ('(a | "n") == "n"', {"b": "y"}, True),
        ("(p && q) == false", {"p": True}, True),
        ('m["k"] == "v"', {"m": {"k": "v"}}, True),
        ('m["k"] == "v"', {"m": {}}, False),
        ("false", {}, False),
    ],
)
def test_conditions(source: str, known: dict[str, Any], could: bool) -> None:
    assert could_hold(source, MANIFEST, read_attributes(MANIFEST, known)) is could


CONDITIONS = st.recursive(
    st.sampled_from(["p", "q", 'a == "x"', 'b == "y"', "true", "false", 'm["k"] == a', 'm["k"] == "x"']),
    lambda inner: st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
        lambda one: f"({one[0]} {one[1]} {one[2]})"
    ),
    max_leaves=6,
)
BAGS = st.fixed_dictionaries(
    {},
    optional={
        "a": st.sampled_from(["x", "y"]),
        "b": st.sampled_from(["x", "y"]),
        "p": st.booleans(),
        "q": st.booleans(),
        "m": st.dictionaries(st.just("k"), st.sampled_from(["x", "y"])),
    },
)


@given(source=CONDITIONS, bag=BAGS, told=st.sets(st.sampled_from(["a", "b", "p", "q", "m"])))
def test_what_holds_could_hold(source: str, bag: dict[str, Any], told: set[str]) -> None:
    """Never does anything hold that was said to be impossible."""
    attributes = read_attributes(MANIFEST, bag)
    try:
        holds = compile_expression(source, MANIFEST).evaluate(attributes).value
    except EvaluationError:
        holds = False
    known = {name: value for name, value in attributes.items() if name in told}
    assert could_hold(source, MANIFEST, known) or not holds
