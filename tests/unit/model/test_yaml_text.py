"""YAML as users write it; what is dangerous or doubtful is refused with its line."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from istio_objects import objects

from artemon.errors import Refused
from artemon.model.decode import load_yaml


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("a: &x 1\nb: 2", "f:1: anchor &x is not allowed", id="anchor"),
        pytest.param("a: &x [1]\nb: *x", "f:2: alias \\*x is not allowed", id="alias"),
        pytest.param("a: 1\nb: 2\na: 3", 'f:3: key "a" is given twice', id="duplicate"),
        pytest.param("a:\n  80: x\n  '80': y", 'f:3: key "80" is given twice', id="duplicate-number"),
        pytest.param("true: 1", "f:1: key true is read as a boolean", id="boolean-key"),
        pytest.param("1.5: 1", "f:1: key 1.5 is read as a number", id="float-key"),
        pytest.param("~: 1", "f:1: key ~ is read as null", id="null-key"),
        pytest.param("? [a]\n: 1", "f:1: a key must be text", id="list-key"),
        pytest.param("a: .nan", "f:1: .nan is not a finite number", id="nan"),
        pytest.param("a: !!binary aGk=", "f:1: tag tag:yaml.org,2002:binary is not allowed", id="binary"),
        pytest.param("a: !!python/name:os.system x", "f:1: tag .* is not allowed", id="python-tag"),
        pytest.param("a: !x {b: 1}", "f:1: tag !x is not allowed", id="own-tag"),
        pytest.param("a: " + "9" * 65, "f:1: number is too long", id="long-number"),
        pytest.param("a: [\n", "f:2: is not YAML", id="syntax"),
        pytest.param("a: \x07", "f:1: is not YAML", id="control-character"),
        pytest.param("- a", "f:1: an object must be a mapping, not a list", id="list"),
        pytest.param("just text", "f:1: an object must be a mapping", id="text"),
        pytest.param("a: " + "[" * 70 + "]" * 70, "f:1: is nested more than 64 levels", id="deep"),
        pytest.param("[" * 2_000_000, "f:1: is nested more than 64 levels", id="very-deep"),
        pytest.param("a: " + "x" * 270_000, "f:1: has 270008 bytes", id="large"),
        pytest.param("a: 1\n---\nb: *x", "f:3: alias", id="second-document"),
    ],
)
def test_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        load_yaml(text, "f")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", id="no-timestamp"),
        pytest.param("12:30", "12:30", id="no-base-60"),
        pytest.param("1_000", 1000, id="underscore"),
        pytest.param("0x10", 16, id="hex"),
        pytest.param("010", 8, id="octal"),
        pytest.param("0b_", "0b_", id="no-digits"),
        pytest.param("0x", "0x", id="no-hex-digits"),
        pytest.param("-0b11", -3, id="negative-binary"),
        pytest.param("089", 89.0, id="no-octal"),
        pytest.param("-5", -5, id="negative"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param("1.", 1.0, id="dot"),
        pytest.param("yes", True, id="yes"),
        pytest.param("Off", False, id="off"),
        pytest.param("yEs", "yEs", id="odd-case"),
        pytest.param("'yes'", "yes", id="quoted"),
        pytest.param("!!str 5", "5", id="str-tag"),
        pytest.param("~", None, id="null"),
        pytest.param("", None, id="empty"),
        pytest.param("1.2.3.4", "1.2.3.4", id="address"),
        pytest.param("<<", "<<", id="merge-is-text"),
        pytest.param("|\n  a\n  b", "a\nb\n", id="block"),
    ],
)
def test_scalar_is_read(text: str, value: Any) -> None:
    assert load_yaml(f"a: {text}\n") == [{"a": value}]


def test_number_keys_are_text_as_in_istio_examples() -> None:
    assert load_yaml("portLevelMtls:\n  8080:\n    mode: DISABLE") == [
        {"portLevelMtls": {"8080": {"mode": "DISABLE"}}}
    ]


def test_a_byte_order_mark_and_foreign_line_ends_do_not_matter() -> None:
    assert load_yaml("\ufeffa: 1\r\nb: 2\r\n") == [{"a": 1, "b": 2}]


def test_documents_and_lists_are_taken_apart() -> None:
    text = "a: 1\n---\n---\n# nothing\n---\nkind: List\nitems:\n- b: 2\n- kind: List\n  items: [{c: 3}]\n"
    assert load_yaml(text) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_all_documents_are_looked_at() -> None:
    with pytest.raises(Refused) as refused:
        load_yaml("? {a: b}\n: c\nd: e\n", "f")
    assert len(refused.value.problems) == 1
    with pytest.raises(Refused) as refused:
        load_yaml("a: *x\n---\nb: 1\nb: 2\n---\n- 1\n", "f")
    assert [problem.path for problem in refused.value.problems] == ["f:1", "f:4", "f:5"]


class Plain(yaml.SafeDumper):
    """Writes no aliases, and quotes texts like 0E0 and 089, which Kubernetes and we read as numbers."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


Plain.add_implicit_resolver(  # type: ignore[no-untyped-call]
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[.0-9][0-9a-zA-Z_.+-]*$"), list("-+.0123456789")
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(objects())
def test_what_yaml_writers_write_is_read(obj: dict[str, Any]) -> None:
    assert load_yaml(yaml.dump(obj, Dumper=Plain)) == [obj]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet=st.sampled_from("ab: -0x_\n[]{}&*!?|>'\"#%,1.~<\t"), max_size=40) | st.text(max_size=40)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Refused):
        assert all(isinstance(item, dict) for item in load_yaml(text))
